"""Are inputs as complete and as fresh as they were in training? Missing values and ages, judged by days."""

import math
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy.special import ndtri

from flywheel.profile import DataColumn, DataProfile

LEVEL = 0.01  # probability of any jump among all columns and days of a window while nothing has changed
LEAST_JUMP = 0.05  # of the share of missing values; smaller ones are no incident
LEAST_ROWS = 20  # of a day, to have a share at all


@dataclass(frozen=True)
class Jump:
    """A column whose share of missing values left what training's days had.

    Attributes:
        column: Its name.
        day: The first day of it.
        days: How many days of the window.
        share: Missing on the first day, 0 to 1.
        usual: Mean of training's days.
        limit: The share from which on a day is a jump.
        reason: The sentence.
    """

    column: str
    day: date
    days: int
    share: float
    usual: float
    limit: float
    reason: str

    def body(self) -> dict[str, object]:
        """Return it as plain values."""
        return {**asdict(self), "day": self.day.isoformat()}


@dataclass(frozen=True)
class Stale:
    """A time among the inputs that lies farther back than it ever did in training.

    Attributes:
        column: A column of times, such as when a joined row was measured.
        age: Median over the window of event time minus the column, in seconds.
        usual: The same on the reference sample.
        limit: The age below which all but one in a thousand reference rows lay.
        share: Of the window's rows above the limit.
        reason: The sentence.
    """

    column: str
    age: float
    usual: float
    limit: float
    share: float
    reason: str

    def body(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)


def missing_jumps(inputs: pl.DataFrame, times: pl.Series, profile: DataProfile) -> tuple[Jump, ...]:
    """Return the columns that are missing far more often than on training's days, the largest jump first.

    A day's share is held against mean and standard deviation of training's days, its own sampling error added, at a
    level that is shared out over columns and days (Bonferroni). What is missing from `inputs` altogether is missing in
    every row.

    Args:
        inputs: (n_rows, n_columns), raw.
        times: Event times, (n_rows,).
        profile: Of all training rows.
    """
    days = inputs.with_columns(times.dt.date().alias("_day")).group_by("_day").agg(
        pl.len().alias("_rows"),
        *(_missing(inputs, column.name).sum().alias(column.name) for column in profile.columns),
    ).filter(pl.col("_rows") >= LEAST_ROWS).sort("_day")  # fmt: skip
    tests = max(days.height * len(profile.columns), 1)
    found = [_jump(column, days, float(-ndtri(LEVEL / tests))) for column in profile.columns]
    return tuple(sorted((one for one in found if one), key=lambda one: one.usual - one.share))


def stale_times(
    inputs: pl.DataFrame, times: pl.Series, sample: pl.DataFrame, event_time: str, *, least_share: float = 0.05
) -> tuple[Stale, ...]:
    """Return times among the inputs that are older than they were, the oldest first.

    Args:
        inputs: (n_rows, n_columns), raw.
        times: Event times, (n_rows,).
        sample: The reference sample.
        event_time: The column of the event's own time, whose age is 0.
        least_share: Share of the window's rows that must lie above the limit.
    """
    found = []
    for name, kind in sample.schema.items():
        if name != event_time and event_time in sample.columns and kind.is_temporal() and name in inputs.columns:
            before, now = _ages(sample[event_time], sample[name]), _ages(times, inputs[name])
            one = _stale(name, before, now, least_share)
            found += [one] if one else []
    return tuple(sorted(found, key=lambda one: -one.age))


def _missing(inputs: pl.DataFrame, name: str) -> pl.Expr:
    if name not in inputs.columns:
        return pl.repeat(True, pl.len())
    column = pl.col(name)
    return column.is_null() | column.is_nan() if inputs.schema[name].is_float() else column.is_null()


def _jump(column: DataColumn, days: pl.DataFrame, quantile: float) -> Jump | None:
    usual, spread = column.missing.mean, column.missing.sd
    # Half a row more keeps a column that was never missing from having no sampling error at all.
    sampled = (usual * (1 - usual) + 0.5 / days["_rows"]) / days["_rows"]
    limits = usual + quantile * (spread**2 + sampled).sqrt()
    limits = pl.select(pl.max_horizontal(limits, pl.lit(usual + LEAST_JUMP))).to_series()
    shares = days[column.name] / days["_rows"]
    above = shares > limits
    if not above.any():
        return None
    first = int(above.arg_true()[0])
    day, share, count = days["_day"][first], float(shares[first]), int(above.sum())
    reason = (
        f"'{column.name}' is missing in {share:.1%} of the rows of {day}, usually in {usual:.1%}; so on {count} of "
        f"{days.height} days. Look at the source of it."
    )
    return Jump(column.name, day, count, share, usual, float(limits[first]), reason)


def _ages(events: pl.Series, values: pl.Series) -> pl.Series:
    return (events - values.cast(pl.Datetime("us"))).dt.total_microseconds().drop_nulls() / 1e6


def _stale(name: str, before: pl.Series, now: pl.Series, least_share: float) -> Stale | None:
    if before.is_empty() or now.is_empty():
        return None
    limit, usual, age = (
        float(one.quantile(share) or 0.0) for one, share in ((before, 0.999), (before, 0.5), (now, 0.5))
    )
    share = float((now > limit).sum()) / len(now)
    if share < least_share:
        return None
    reason = (
        f"'{name}' is {_span(age)} old in the median row, {_span(usual)} in training; {share:.1%} of the rows are "
        f"older than {_span(limit)}, as hardly any was. Look whether its source still runs."
    )
    return Stale(name, age, usual, limit, share, reason)


def _quantile(ages: pl.Series, share: float) -> float:
    return float(np.quantile(ages.to_numpy(), share))


def _span(seconds: float) -> str:
    for size, unit in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if math.fabs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
