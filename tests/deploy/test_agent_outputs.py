"""What a scorer answered: outputs as the contract names them, or nothing."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.agent.outputs import OutputReader
from tests.deploy.tiny_contract import CLASSES, CONTRACT

ENTRY: dict[str, Any] = {
    "prediction": "calm",
    "probability_calm": 1,
    "probability_wild": 0.0,
    "amount": -3.5,
    "decision": False,
}
VALUE = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "a", []])


def test_outputs_come_in_the_contracts_order_and_types_without_what_it_does_not_name() -> None:
    read = OutputReader(CLASSES).read(dict(reversed(ENTRY.items())) | {"more": 1})
    assert read == ENTRY
    assert list(read) == list(ENTRY)
    assert type(read["probability_calm"]) is float


@pytest.mark.parametrize(
    "change",
    [
        {"prediction": ""},
        {"prediction": None},
        {"prediction": 1},
        {"probability_calm": 1.01},
        {"probability_calm": -0.01},
        {"probability_calm": math.nan},
        {"probability_calm": True},
        {"probability_calm": "1"},
        {"amount": math.inf},
        {"amount": math.nan},
        {"amount": None},
        {"decision": 0},
        {"decision": None},
    ],
)
def test_a_row_with_an_impossible_output_has_none(change: dict[str, Any]) -> None:
    assert OutputReader(CLASSES).read(ENTRY | change) is None


def test_a_row_with_a_missing_output_has_none() -> None:
    for name in ENTRY:
        assert OutputReader(CLASSES).read({key: value for key, value in ENTRY.items() if key != name}) is None


@given(entry=st.dictionaries(st.sampled_from([*ENTRY, "probability"]), VALUE))
def test_what_is_read_is_finite_typed_and_complete_whatever_was_answered(entry: dict[str, Any]) -> None:
    for contract in (CONTRACT, CLASSES):
        read = OutputReader(contract).read(entry)
        if read is None:
            continue
        for output in contract.outputs:
            value = read[output.name]
            assert type(value) is {"double": float, "string": str, "boolean": bool}[output.type]
            assert value != ""
            assert not isinstance(value, float) or math.isfinite(value)
            assert not output.name.startswith("probability") or 0 <= value <= 1  # type: ignore[operator]
