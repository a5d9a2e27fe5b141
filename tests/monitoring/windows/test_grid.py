"""Windows of the grid: the same whoever looks when, and due when there is something new."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from flywheel.events import GENESIS, EventKind, chained
from monitoring.windows.grid import Judged, counted_windows, is_due, judged, windows

times = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1))
lengths = st.integers(1, 60).map(lambda days: timedelta(days=days))


@given(times, st.integers(0, 400), lengths)
def test_windows_follow_each_other_hold_the_first_time_and_are_over(
    first: datetime, days: int, length: timedelta
) -> None:
    now = first + timedelta(days=days)
    found = windows(first, now, length)
    assert all(end - start == length for start, end in found)
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    assert all(end <= now for _, end in found)
    if found:
        assert found[0][0] <= first < found[0][1]
        assert now < found[-1][1] + length


@given(times, st.integers(0, 400), st.integers(0, 50), lengths)
def test_looks_at_different_times_agree_on_the_windows(
    first: datetime, days: int, later: int, length: timedelta
) -> None:
    now = first + timedelta(days=days)
    early, late = windows(first, now, length), windows(first, now + timedelta(days=later), length)
    assert late[: len(early)] == early


FIRST = datetime(2026, 1, 1)


@given(st.lists(st.integers(0, 500), max_size=200), st.integers(1, 40), st.integers(0, 200))
def test_windows_of_so_many_answers_hold_them_follow_each_other_and_stay_when_later_ones_come(
    hours: list[int], rows: int, seen: int
) -> None:
    times = pl.Series([FIRST + timedelta(hours=hour) for hour in sorted(hours)], dtype=pl.Datetime("us"))
    found = counted_windows(times, FIRST, rows)
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    within = [times.filter(times.is_between(start, end, closed="left")) for start, end in found]
    assert all(len(part) >= rows for part in within)
    assert all(part.filter(part < part[-1]).len() < rows for part in within)  # more only at one time with the last
    rest = times[sum(map(len, within)) :]
    assert len(rest) < rows or rest.filter(rest > rest[rows - 1]).is_empty()
    early = counted_windows(times[:seen], FIRST, rows)
    assert found[: len(early)] == early


def test_weeks_begin_on_mondays() -> None:
    (start, end), *_ = windows(datetime(2026, 11, 27), datetime(2026, 12, 10), timedelta(days=7))
    assert (start, end) == (datetime(2026, 11, 23), datetime(2026, 11, 30))
    assert start.weekday() == 0


def test_a_window_is_due_once_and_again_when_outcomes_or_late_predictions_come() -> None:
    span = (datetime(2026, 1, 5), datetime(2026, 1, 12))
    body = {"start": span[0].isoformat(), "end": span[1].isoformat(), "answered": 10, "labelled": 4}
    at = datetime(2026, 1, 13, tzinfo=UTC)
    said = chained(GENESIS, EventKind.MONITOR_WINDOW, "a", "m", {**body, "as_of": "2026-01-13T00:00:00"}, at)
    other = chained(GENESIS, EventKind.RETRAIN_STARTED, "a", "m", {"as_of": "2026-01-13T00:00:00"}, at)
    known = judged([said, other])
    assert known == {span: Judged(datetime(2026, 1, 13), 10, 4)}
    assert is_due(span, {}, answered=1, labelled=0)
    assert not is_due(span, {}, answered=0, labelled=0)
    assert not is_due(span, known, answered=10, labelled=4)
    assert is_due(span, known, answered=10, labelled=5)
    assert is_due(span, known, answered=11, labelled=4)
