"""Columns without values: since when, until when, over all versions; never by the chance of a few rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from flywheel.profiling.block import Block
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.scale import Scale
from flywheel.profiling.series import Series
from monitoring.look.outages import Outage, outages

FIRST, DAY = datetime(2013, 4, 1), timedelta(days=1)
EVER = FIRST + 400 * DAY


def block(start: datetime, missing: Mapping[str, int], rows: int = 40, unfit: Mapping[str, int] | None = None) -> Block:
    """A day in which so many rows of each column have no value."""
    wrong = unfit or {}
    columns = {
        name: ColumnSketch(name, "double", rows, count, wrong.get(name, 0)) for name, count in sorted(missing.items())
    }
    return Block(start, start + DAY, rows, columns)


def series(days: Sequence[Block]) -> Series:
    return Series(Scale(()), DAY, tuple(days))


def reference(*columns: str, missing: int = 0, rows: int = 40) -> Series:
    return series([block(FIRST - (90 - day) * DAY, dict.fromkeys(columns, missing), rows) for day in range(60)])


def live(gone: Mapping[str, Sequence[bool]], rows: int = 40) -> Series:
    """Days on which columns have no value at all, or all of them."""
    days = max(map(len, gone.values()))
    return series(
        [
            block(FIRST + day * DAY, {name: rows * flags[day] for name, flags in gone.items()}, rows)
            for day in range(days)
        ]
    )


def test_an_outage_begins_and_ends_and_the_newest_may_last() -> None:
    gone = {"a": [False, True, True, False, False], "b": [False, False, False, True, True]}
    found = outages([(reference("a", "b"), live(gone))], EVER)
    assert [(one.column, one.start, one.end, one.lasts) for one in found] == [
        ("a", FIRST + DAY, FIRST + 3 * DAY, False),
        ("b", FIRST + 3 * DAY, FIRST + 5 * DAY, True),
    ]
    assert [one.rows for one in found] == [80, 80]


def test_a_day_that_is_not_over_says_nothing() -> None:
    assert outages([(reference("a"), live({"a": [False, True]}))], FIRST + 2 * DAY - timedelta(hours=1)) == ()


def test_values_of_another_type_are_an_outage_and_missing_ones_of_a_column_that_is_mostly_empty_are_none() -> None:
    wrong = series([block(FIRST, {"a": 40, "b": 40}, unfit={"a": 40})])
    (found,) = outages([(reference("a"), wrong)], EVER)
    assert (found.column, found.fault) == ("a", "changed type")
    assert outages([(reference("b", missing=30), wrong)], EVER) == ()


def test_one_row_a_day_is_no_outage_until_chance_cannot_be_it() -> None:
    seldom = reference("a", missing=8)  # a fifth of the rows
    assert outages([(seldom, live({"a": [True] * 4}, rows=1))], EVER) == ()
    (found,) = outages([(seldom, live({"a": [True] * 5}, rows=1))], EVER)
    assert found.rows == 5


def test_versions_that_follow_each_other_have_one_outage_and_a_version_without_the_column_ends_it() -> None:
    old, new = live({"a": [False, True, True]}), live({"a": [False] * 3 + [True] * 3})
    few = series([block(one.start, {"a": 5}, rows=5) for one in old.blocks[1:]])
    (same,) = outages([(reference("a"), old), (reference("a"), few)], EVER)
    assert same.rows == 80  # of the version that comes first: who answers most
    later = series([block(one.start, {"a": 40, "b": 0}) for one in new.blocks[3:]])
    (found,) = outages([(reference("a"), old), (reference("a"), later)], EVER)
    assert (found.start, found.end, found.lasts) == (FIRST + DAY, FIRST + 6 * DAY, True)
    (over,) = outages([(reference("a"), old), (reference("b"), later)], EVER)
    assert (over.end, over.lasts) == (FIRST + 3 * DAY, False)


days = st.lists(st.booleans(), min_size=1, max_size=12)


@given(st.lists(days, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_outages_of_a_column_are_its_days_without_values_whatever_the_order_of_columns(
    flags: list[list[bool]], random: Random
) -> None:
    length = max(map(len, flags))
    gone = {f"c{number}": one + [False] * (length - len(one)) for number, one in enumerate(flags)}
    names = list(gone)
    found = outages([(reference(*names), live(gone))], EVER)
    random.shuffle(names)
    assert outages([(reference(*names), live({name: gone[name] for name in names}))], EVER) == found
    covered = {(one.column, day) for one in found for day in _days(one)}
    assert covered == {(name, day) for name, one in gone.items() for day in range(length) if one[day]}
    assert all(one.lasts == (gone[one.column][-1] and one.end == FIRST + length * DAY) for one in found)


def _days(one: Outage) -> range:
    return range((one.start - FIRST) // DAY, (one.end - FIRST) // DAY)
