import json
from pathlib import Path
from typing import Any

import pytest

from deploy.agent.backends.constant import Constant, declared_outputs
from deploy.agent.outputs import Outputs
from flywheel.contract import Contract, Output, outputs_of
from flywheel.errors import SpecError
from flywheel.package import INSIDE
from tests.deploy.conftest import row
from tests.deploy.tiny_contract import CONTRACT

CHANCE, DECIDED = outputs_of("binary"), outputs_of("binary", has_threshold=True)
MOODS, NUMBER = outputs_of("multiclass", ["calm", "wild"]), outputs_of("regression")


def package(folder: Path, outputs: tuple[Output, ...], threshold: float | None = None) -> Path:
    (folder / INSIDE).mkdir(parents=True)
    contract = CONTRACT.model_copy(update={"outputs": outputs})
    (folder / INSIDE / "contract.json").write_text(contract.model_dump_json())
    (folder / INSIDE / "decision.json").write_text(json.dumps({"threshold": threshold}))
    return folder


@pytest.mark.parametrize(
    ("outputs", "threshold", "declared", "expected"),
    [
        (CHANCE, None, 0.25, {"probability": 0.25}),
        (CHANCE, None, 1, {"probability": 1.0}),
        (DECIDED, 0.2, 0.25, {"probability": 0.25, "decision": True}),
        (DECIDED, 0.25, 0.25, {"probability": 0.25, "decision": True}),
        (DECIDED, 0.3, 0.25, {"probability": 0.25, "decision": False}),
        (DECIDED, 0.3, {"probability": 0.25, "decision": True}, {"probability": 0.25, "decision": True}),
        (NUMBER, None, -3, {"prediction": -3.0}),
        (MOODS, None, "wild", {"prediction": "wild", "probability_calm": 0.0, "probability_wild": 1.0}),
    ],
)
async def test_an_answer_is_made_whole_by_what_follows_from_it(
    tmp_path: Path, outputs: tuple[Output, ...], threshold: float | None, declared: Any, expected: Outputs
) -> None:
    found = declared_outputs(package(tmp_path / "m", outputs, threshold), declared)
    assert found == expected
    assert list(found) == [output.name for output in outputs]
    contract: Contract = CONTRACT
    async with Constant(found) as backend:
        assert await backend.answers(1)
        assert await backend.score([contract.validate_row(row())] * 2, 1) == [expected] * 2


@pytest.mark.parametrize(
    ("outputs", "declared", "sentence"),
    [
        (CHANCE, 1.5, "fallback.answer: 1.5 is nothing that this version could answer. probability is 0 to 1."),
        (CHANCE, float("nan"), "fallback.answer: nan is nothing"),
        (CHANCE, "late", "fallback.answer: 'late' is no number, and this version answers probability. Give a number."),
        (MOODS, "angry", "fallback.answer: 'angry' is no class of this version. Its classes: calm, wild."),
        (MOODS, 0.5, "leaves 'probability_calm' open"),
        (DECIDED, 0.5, "leaves 'decision' open. Give each: {probability: …, decision: …}."),
        (DECIDED, {"probability": 0.5, "decision": 1}, "is nothing that this version could answer"),
        (CHANCE, {"chance": 0.5}, "this version answers probability, and 'chance' is none of it. Correct it."),
    ],
)
def test_what_the_version_could_not_answer_is_refused_in_a_sentence(
    tmp_path: Path, outputs: tuple[Output, ...], declared: Any, sentence: str
) -> None:
    with pytest.raises(SpecError) as fault:
        declared_outputs(package(tmp_path / "m", outputs), declared)
    assert sentence in str(fault.value)
