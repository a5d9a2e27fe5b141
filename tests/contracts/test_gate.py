"""What every gate keeps to, ours and a user's: `Gate`'s promises, on a good package and on a folder that is none."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from flywheel.digest import folder_digest
from flywheel.limits import BUILT_IN, Limits
from registry.gates.catalogue import OWN
from registry.gates.evidence import Measurement, Outcome
from registry.gates.gate import Candidate, Gate, judged
from registry.gates.server import ModelServer
from tests.registry.gates.conftest import bench, package  # noqa: F401  # fixtures
from tests.registry.gates.folders import Bench


class Columns:
    """A gate as a user writes it."""

    name = "columns"
    title = "Not too many inputs"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Count the inputs."""
        count = len(candidate.inputs)
        return judged(0 < count <= 20, f"It takes {count} inputs.", value=float(count), limit=20.0, unit="inputs")


GATES: tuple[Gate, ...] = (*OWN, Columns())
every = pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)


@every
def test_it_is_a_gate_with_a_name_that_policies_can_write(gate: Gate) -> None:
    assert isinstance(gate, Gate)
    assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", gate.name)
    assert gate.title.strip()


@every
def test_it_says_something_of_a_good_package_and_leaves_it_as_it_is(
    gate: Gate,
    bench: Bench,  # noqa: F811
    package: Path,  # noqa: F811
) -> None:
    before = folder_digest(package)
    found = bench(gate, package, latency_p99_ms=5000)
    assert found.outcome == Outcome.PASS, found.sentence
    assert found.sentence.endswith(".")
    assert len(found.sentence) < 1000
    json.dumps(asdict(found), allow_nan=False)
    assert folder_digest(package) == before


@every
def test_of_a_folder_that_is_no_model_it_says_so_in_a_sentence(gate: Gate, tmp_path: Path) -> None:
    folder, work = tmp_path / "folder", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    (folder / "MLmodel").write_text("- no\n- mapping\n")
    server = ModelServer(folder, work, "false")  # an interpreter that ends at once
    found = Bench(server, work)(gate, folder)
    assert "The gate itself failed" not in found.sentence, found.sentence
    json.dumps(asdict(found), allow_nan=False)


def test_the_policy_knows_exactly_the_gates_that_there_are() -> None:
    assert sorted(gate.name for gate in OWN) == sorted(BUILT_IN)
