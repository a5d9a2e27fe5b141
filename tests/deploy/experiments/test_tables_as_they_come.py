"""Whatever a table holds: a judgement or one sentence, never anything else."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from deploy.experiments.documents import parse_plan
from deploy.experiments.gathering import looks_of
from deploy.experiments.judging import document as judged
from deploy.experiments.judging import judge
from deploy.experiments.table_file import read_table
from deploy.experiments.units import units_of_table
from flywheel.errors import UsageError
from tests.deploy.experiments.worlds import document, plan

PLAN = plan(covariate={}, guardrails={"ms": {"measure": {"kind": "latency"}, "margin": 5}}, minimum_units=20)
NAMES = ("unit", "arm", "value", "covariate", "ms", "time", "covariate_time")
CELLS: tuple[st.SearchStrategy[Any], ...] = (
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["champion", "challenger"]),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)),
    st.dates(date(1, 1, 1)),
    st.just(time(3)),
    st.just(timedelta(days=2)),
    st.just(Decimal("1.5")),
    st.just([1, 2]),
    st.just({"a": 1}),
    st.binary(max_size=2),
)
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "unit": st.text(max_size=2),
    "arm": st.sampled_from(["champion", "challenger"]),
    "value": st.floats(-1e3, 1e3),
    "covariate": st.just(1.0),
    "ms": st.integers(0, 100),
    "time": st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 15)),
    "covariate_time": st.just(datetime(2026, 2, 1)),
}


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    """Draw a table in which some columns are as they should be, some of one other kind, and some not there."""
    rows = draw(st.integers(0, 30))
    columns = {}
    for name in NAMES:
        cell = draw(st.sampled_from([GOOD[name]] * 100 + list(CELLS)))
        if draw(st.integers(0, 60)):
            columns[name] = pl.Series(name, [draw(cell) for _ in range(rows)], strict=False)
    return pl.DataFrame(columns)


def refusal(call: Callable[[], object]) -> str:
    """Return the sentence with which a call is refused; empty where it is not."""
    try:
        call()
    except UsageError as refused:
        return str(refused)
    return ""


@settings(max_examples=150, deadline=None)
@given(tables())
def test_a_table_of_anything_is_judged_or_refused_in_one_sentence(found: pl.DataFrame) -> None:
    sentence = refusal(lambda: judged(judge(PLAN, looks_of(PLAN, units_of_table(PLAN, found, "units"), 5))))
    assert "\n" not in sentence
    event(sentence[:30] or "judged")
    assert not sentence or sentence.startswith("units")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(document(covariate={}, guardrails={}, expected={"mean": 1.0}))),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
)
def test_a_plan_with_anything_in_a_key_is_taken_or_refused_in_one_sentence(key: str, value: Any) -> None:
    sentence = refusal(lambda: parse_plan(document() | {key: value}, "The plan"))
    assert "\n" not in sentence
    assert not sentence or sentence.startswith("The plan")


def test_in_a_csv_units_and_arms_stay_text(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("unit,arm,value\n007,1,3\n7,2,4\n")
    found = read_table(tmp_path / "units.csv")
    assert found["unit"].to_list() == ["007", "7"]
    assert found["arm"].to_list() == ["1", "2"]
