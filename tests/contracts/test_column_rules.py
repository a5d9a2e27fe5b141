"""One suite for the three readers of a column's rules: the agent's validator, training's masks, the pandera schema.

A case is a column, a value and the rule it breaks (None: it keeps all). What only JSON can do, such as writing a whole
number as 3.0, is in tests/flywheel/test_contract.py: a typed frame cannot hold it.
"""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandera.errors
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.column_rules import EARLIEST, LATEST
from flywheel.column_types import POLARS
from flywheel.contract import Column, ColumnType, Contract
from flywheel.errors import ContractError
from training.checks.rules import row_rules, wrong_types
from training.checks.schema import pandera_schema

NOON = datetime(2024, 5, 1, 12)
NOON_SECONDS = 1714564800.0
Verdict = str | None
# The order in which a validator that stops at the first fault meets them.
ORDER = ("type", "missing", "finite", "range", "category")


def column(kind: ColumnType, **limits: Any) -> Column:
    return Column(name="x", type=kind, **{"nullable": True, **limits})


CASES: list[tuple[Column, Any, Verdict]] = [
    (column("long"), 3, None),
    (column("long"), None, None),
    (column("long", nullable=False), None, "missing"),
    (column("long"), "3", "type"),
    (column("long"), True, "type"),
    (column("long"), 1.5, "type"),
    (column("long", minimum=0), 0, None),
    (column("long", minimum=0), -1, "range"),
    (column("long", maximum=9.5), 9, None),
    (column("long", maximum=9.5), 10, "range"),
    (column("long", minimum=2.0**53), 2**53 - 1, "range"),
    (column("long", maximum=2.0**53), 2**53 + 1, "range"),
    (column("long", maximum=1e300), 2**63 - 1, None),
    (column("long", minimum=0), None, None),
    (column("double"), 0.5, None),
    (column("double"), None, None),
    (column("double", nullable=False), None, "missing"),
    (column("double"), "0.5", "type"),
    (column("double"), False, "type"),
    (column("double"), math.inf, "finite"),
    (column("double"), -math.inf, "finite"),
    (column("double"), math.nan, "finite"),
    (column("double", nullable=False), math.nan, "finite"),
    (column("double", minimum=0, maximum=1), math.inf, "finite"),
    (column("double", minimum=0, maximum=1), math.nan, "finite"),
    (column("double", minimum=0, maximum=1), 0.0, None),
    (column("double", minimum=0, maximum=1), 1.0, None),
    (column("double", minimum=0, maximum=1), math.nextafter(1, 2), "range"),
    (column("double", minimum=0), -1e-300, "range"),
    (column("string"), "", None),
    (column("string", nullable=False), None, "missing"),
    (column("string"), 1, "type"),
    (column("string", categories=("a", "b")), "a", None),
    (column("string", categories=("a", "b")), "A", "category"),
    (column("string", categories=("a", "b")), "", "category"),
    (column("string", categories=("a", "b")), None, None),
    (column("string", categories=("a", "b"), nullable=False), None, "missing"),
    (column("boolean"), True, None),
    (column("boolean"), None, None),
    (column("boolean", nullable=False), None, "missing"),
    (column("boolean"), 1, "type"),
    (column("datetime"), NOON, None),
    (column("datetime"), None, None),
    (column("datetime", nullable=False), None, "missing"),
    (column("datetime"), 5, "type"),
    (column("datetime"), EARLIEST, None),
    (column("datetime"), datetime(1677, 12, 31), "range"),
    (column("datetime"), LATEST, "range"),
    (column("datetime", minimum=-1e300, maximum=1e300), NOON, None),
    (column("datetime", minimum=1e300), NOON, "range"),
    (column("datetime", minimum=NOON_SECONDS), NOON, None),
    (column("datetime", minimum=NOON_SECONDS), datetime(2024, 5, 1, 11, 59, 59), "range"),
    (column("datetime", maximum=NOON_SECONDS), datetime(2024, 5, 1, 12, 0, 1), "range"),
]


def contract_of(checked: Column) -> Contract:
    return Contract(columns=(Column(name="at", type="datetime", nullable=False), checked), event_time="at", entity=None)


def frame_of(checked: Column, value: Any) -> pl.DataFrame:
    typed = POLARS[checked.type] if value is None else None
    return pl.DataFrame({"at": [NOON], "x": pl.Series([value], dtype=typed)}).with_columns(
        pl.col("at").cast(pl.Datetime("us"))
    )


def by_validator(checked: Column, value: Any) -> Verdict:
    sent = value.isoformat() if isinstance(value, datetime) else value
    try:
        contract_of(checked).validate_row({"at": NOON.isoformat(), "x": sent})
    except ContractError as fault:
        return fault.rule
    return None


def by_masks(checked: Column, value: Any) -> Verdict:
    frame, contract = frame_of(checked, value), contract_of(checked)
    if wrong_types(frame, contract):
        return "type"
    broken = {rule.rule for rule in row_rules(contract) if frame.select(rule.broken).item()}
    suspected = {rule.rule for rule in row_rules(contract) if frame.select(rule.suspect).item()}
    assert broken <= suspected, "screening would have overlooked it"
    return first(broken)


def by_pandera(checked: Column, value: Any) -> Verdict:
    try:
        pandera_schema(contract_of(checked)).validate(frame_of(checked, value), lazy=True)
    except pandera.errors.SchemaErrors as faults:
        names = [str(getattr(fault.check, "error", None) or fault.check) for fault in faults.schema_errors]
        return first({"type" if name.startswith("dtype") else name for name in names})
    return None


def first(rules: set[Any]) -> Verdict:
    assert rules <= set(ORDER)
    return next((rule for rule in ORDER if rule in rules), None)


READERS: dict[str, Callable[[Column, Any], Verdict]] = {
    "validator": by_validator,
    "masks": by_masks,
    "pandera": by_pandera,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("checked", "value", "verdict"), CASES)
def test_every_reader_of_the_rules_gives_the_verdict(
    reader: str, checked: Column, value: Any, verdict: Verdict
) -> None:
    assert READERS[reader](checked, value) == verdict


VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5),
    "double": st.floats() | st.sampled_from([0.0, 1.0, -1.0]),
    "string": st.sampled_from(["a", "b", "", "ä"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    "boolean": st.booleans(),
    "datetime": st.datetimes(datetime(1600, 1, 1), datetime(2300, 1, 1)) | st.sampled_from([EARLIEST, NOON, LATEST]),
}
BOUND = st.none() | st.floats(-4, 4) | st.floats(-1e19, 1e19) | st.just(NOON_SECONDS)


@st.composite
def any_case(draw: st.DrawFn) -> tuple[Column, Any]:
    kind: ColumnType = draw(st.sampled_from(list(VALUES)))
    limits: dict[str, Any] = {"nullable": draw(st.booleans())}
    if kind in ("long", "double", "datetime"):
        bound = st.none() | st.floats(-9e9, 9e9) if kind == "datetime" else BOUND
        low, high = draw(bound), draw(bound)
        if low is not None and high is not None and low > high:
            low, high = high, low
        limits |= {"minimum": low, "maximum": high}
    if kind == "string":
        limits["categories"] = draw(st.none() | st.lists(st.sampled_from(["a", "b", ""]), min_size=1).map(tuple))
    return column(kind, **limits), draw(st.none() | VALUES[kind])


@settings(deadline=None, max_examples=200)
@given(case=any_case())
def test_the_readers_agree_on_any_column_and_value(case: tuple[Column, Any]) -> None:
    verdicts = {name: reader(*case) for name, reader in READERS.items()}
    assert len(set(verdicts.values())) == 1, verdicts


@pytest.mark.parametrize("reader", ["masks", "pandera"])
def test_a_frame_that_lacks_a_column_is_told_so(reader: str) -> None:
    contract = contract_of(column("long"))
    frame = pl.DataFrame({"at": [NOON]})
    if reader == "masks":
        assert [one.name for one in wrong_types(frame, contract)] == ["x"]
    else:
        with pytest.raises(pandera.errors.SchemaErrors, match="x"):
            pandera_schema(contract).validate(frame, lazy=True)


def test_a_flagged_breach_is_scored_and_named() -> None:
    checked = column("double", minimum=0, breach="flag")
    valid = contract_of(checked).validate_row({"at": NOON.isoformat(), "x": -1})
    assert (valid.inputs["x"], valid.flags) == (-1.0, ["range:x"])
    worded = column("string", categories=("a",), breach="flag")
    assert contract_of(worded).validate_row({"at": NOON.isoformat(), "x": "b"}).flags == ["category:x"]
