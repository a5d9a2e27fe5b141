"""How long validation and test are, by the time that the labelled rows span."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

SHARES = (0.15, 0.2, 0.25, 0.3)
ENOUGH = 200
UNITS = (timedelta(weeks=1), timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))
FEWEST_UNITS = 3


@dataclass(frozen=True)
class Spans:
    """The length of validation, and of test, and why."""

    length: timedelta
    why: str


def choose_spans(times: pl.Series, label: pl.Series, delay: timedelta) -> Spans:
    """Choose the shortest share of time, from 15 % on, in which validation and test hold at least 200 labelled rows.

    Args:
        times: Naive UTC, rising, (n_rows,).
        label: (n_rows,); missing while unknown.
        delay: The gap between the parts.
    """
    times = times.filter(label.is_not_null())
    first, last = times[0], times[-1]
    span: timedelta = last - first
    for share in SHARES:
        length = _whole(span * share)
        test = times.is_between(last - length, last).sum()
        end = last - length - delay
        validation = times.is_between(end - length, end, closed="left").sum()
        if min(int(test), int(validation)) >= ENOUGH:
            return Spans(length, f"{share:.0%} of the {_days(span)} of labelled rows, in whole units of time")
    length = _whole(span * SHARES[-1])
    return Spans(length, f"few rows: {SHARES[-1]:.0%} of the {_days(span)} of labelled rows; give more history")


def _whole(length: timedelta) -> timedelta:
    """Round down to weeks, or to the largest unit that fits three times: weekdays then count alike."""
    for unit in UNITS:
        if length >= FEWEST_UNITS * unit:
            return length // unit * unit
    return max(length // UNITS[-1] * UNITS[-1], UNITS[-1])


def _days(span: timedelta) -> str:
    return f"{span.days:,} days" if span.days > 1 else f"{span.total_seconds() / 3600:,.1f} hours"
