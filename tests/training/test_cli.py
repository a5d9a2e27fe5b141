"""`flywheel check` validates without training."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flywheel.errors import DataError
from training.cli import app


def test_a_valid_use_case_is_shown_and_nothing_is_written(write_usecase: Callable[..., Path]) -> None:
    path = write_usecase()
    before = sorted(path.parent.iterdir())
    done = CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    for words in ("columns of a request", "colour", "data contract", "validation", "test", "is a valid use case"):
        assert words in done.output
    assert sorted(path.parent.iterdir()) == before


def test_steps_that_a_blue_green_rollout_does_not_take_are_said(write_usecase: Callable[..., Path]) -> None:
    path = write_usecase()
    path.write_text(path.read_text() + "rollout: {strategy: blue_green, steps: [10]}\n")
    done = CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "rollout.steps change nothing with strategy: blue_green" in done.output
    path.write_text(path.read_text().replace(", steps: [10]", ""))
    done = CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
    assert "change nothing" not in done.output


def test_a_use_case_that_is_not_valid_raises_its_sentence(write_usecase: Callable[..., Path]) -> None:
    path = write_usecase(features="def features(frame):\n    return frame.head(1)\n")
    with pytest.raises(DataError, match="Keep every row"):
        CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
