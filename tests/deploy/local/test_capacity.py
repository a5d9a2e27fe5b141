"""What serving.yaml asks for is checked before anything is started."""

from pathlib import Path

import pytest

from deploy.local.capacity import check_capacity, memory_mb, needed_mb, unknown_use_cases
from flywheel.errors import SpecError
from flywheel.serving import Serving, UseCaseServing


def test_more_replicas_than_the_machine_holds_are_one_sentence_that_names_the_section() -> None:
    serving = Serving(use_cases={"flights-*": UseCaseServing(replicas=400)})
    with pytest.raises(SpecError, match=r"use_cases.flights-\*: 400 replicas .* need about 72,550 MB"):
        check_capacity(serving, 24_000)
    check_capacity(serving, 80_000)


def test_onnx_alone_needs_no_worker() -> None:
    assert needed_mb(UseCaseServing(backend="onnx")) < needed_mb(UseCaseServing(backend="auto"))


def test_names_that_no_use_case_has_are_found() -> None:
    serving = Serving(use_cases={"flihgts": UseCaseServing(), "flights-*": UseCaseServing()})
    assert unknown_use_cases(serving, ["flights-delay"]) == ["flihgts"]


def test_the_machines_memory_is_read(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemFree: 1 kB\nMemTotal:       2048000 kB\n")
    assert memory_mb(tmp_path / "meminfo") == 2000
    assert memory_mb() > 100
