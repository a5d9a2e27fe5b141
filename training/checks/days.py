"""What each day of a frame looks like, column by column: the figures whose change from day to day is evidence.

Rows of a day resemble each other, so a day counts as one observation, however many rows it has. Everything here works
on a sample: its rows are taken at a fixed step, so the days keep their proportions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.contract import ColumnType
from flywheel.errors import DataError
from flywheel.profile import ColumnProfile, DayStatistic
from flywheel.profiling.placing import normal_scores
from flywheel.statistics import Floats

SAMPLE_ROWS = 50_000
DAY_MICROSECONDS = 86_400_000_000
COMMON_SHARE = 0.02  # categories rarer than this have no figure of their own: their shares are mostly noise
THIN_DAY = 0.2  # days with less than this share of a usual day's rows, such as one cut off by as_of, tell little


@dataclass(frozen=True)
class Days:
    """The days of a sample: `index` (n_rows,) is each row's day, from 0; `rows` (n_days,) what each day has."""

    index: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    def means(self, values: Floats, present: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Return each full day's mean of `values` (n_rows,) over the rows `present`; days without any are left out."""
        totals, counts = self._sums(values, present)
        enough = (counts > 0) & (self.rows >= THIN_DAY * np.median(self.rows))
        return np.asarray(totals[enough] / counts[enough])

    def centred(self, values: Floats, present: npt.NDArray[np.bool_]) -> Floats:
        """Return `values` (n_rows,) less their day's mean over the rows `present`; 0 where not present."""
        totals, counts = self._sums(values, present)
        return np.where(present, values - (totals / np.maximum(counts, 1))[self.index], 0.0)

    def _sums(self, values: Floats, present: npt.NDArray[np.bool_] | None) -> tuple[Floats, npt.NDArray[np.int64]]:
        index, values = (self.index, values) if present is None else (self.index[present], values[present])
        days = len(self.rows)
        totals = np.bincount(index, weights=values, minlength=days).astype(np.float64)
        return totals, np.bincount(index, minlength=days).astype(np.int64)


@dataclass(frozen=True)
class ColumnDays:
    """The figures of one column, each (n_days,): see `flywheel.profile.DataColumn`.

    `within` (n_rows,) are the places less their day's mean: what columns have in common within days.
    """

    missing: Floats
    within: Floats | None = None
    location: Floats | None = None
    spread: Floats | None = None
    shares: Mapping[str, Floats] = field(default_factory=dict)
    other: Floats | None = None


def sample_rows(frame: pl.DataFrame, limit: int = SAMPLE_ROWS) -> pl.DataFrame:
    """Return at most `limit` rows at a fixed step, in their order.

    The step is prime, so that it keeps no time with hours, weekdays or other turns of the calendar.
    """
    step = -(-frame.height // limit)
    while not _is_prime(step) and step > 1:
        step += 1
    return frame.gather_every(step) if step > 1 else frame


def time_span(times: pl.Series) -> tuple[datetime, datetime]:
    """Return the first and the last of event times (n_rows,), at least one of them."""
    first, last = times.min(), times.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise DataError(f"Event time '{times.name}' has no value in any row. Correct the source.")
    return first, last


def days_of(times: pl.Series) -> Days:
    """Group rows (n_rows,) by the day of their event time; days without rows do not appear."""
    day = times.to_physical().to_numpy() // DAY_MICROSECONDS
    _, index, rows = np.unique(day, return_inverse=True, return_counts=True)
    return Days(index.astype(np.int64), rows.astype(np.int64))


def column_days(values: pl.Series, kind: ColumnType, days: Days, reference: ColumnProfile) -> ColumnDays:
    """Compute a column's figures for each day, its values placed among the quantiles or categories of `reference`."""
    gone = values.is_null().to_numpy()
    missing = days.means(gone.astype(np.float64))
    if kind in ("string", "boolean"):
        return _category_days(values, days, reference, missing)
    if kind == "datetime" or not reference.quantiles:
        return ColumnDays(missing)  # times move on by themselves
    z, present = normal_scores(values.cast(pl.Float64).to_numpy(), reference.quantiles), ~gone
    within = days.centred(z, present)
    # The variance within a day: a day that lies apart from the others is a matter of location.
    return ColumnDays(missing, within, location=days.means(z, present), spread=days.means(within * within, present))


def _category_days(values: pl.Series, days: Days, reference: ColumnProfile, missing: Floats) -> ColumnDays:
    text = values.cast(pl.String)
    known = list(reference.categories)
    codes = text.cast(pl.Enum(known), strict=False).to_physical()
    other = (codes.is_null() & text.is_not_null()).to_numpy().astype(np.float64)
    coded = codes.cast(pl.Int64).fill_null(-1).to_numpy()
    common = [(code, name) for code, name in enumerate(known) if reference.categories[name] >= COMMON_SHARE]
    shares = {name: days.means((coded == code).astype(np.float64)) for code, name in common}
    return ColumnDays(missing, shares=shares, other=days.means(other))


def day_statistic(figures: Floats) -> DayStatistic:
    """Summarise one figure over days (n_days,), in their order."""
    if not len(figures):
        return DayStatistic(mean=0.0)
    mean = float(figures.mean())
    if len(figures) < 3 or (sd := float(figures.std(ddof=1))) == 0:
        return DayStatistic(mean=mean, sd=float(figures.std(ddof=1)) if len(figures) > 1 else 0.0)
    apart = figures - mean
    return DayStatistic(mean=mean, sd=sd, autocorrelation=float(apart[1:] @ apart[:-1] / (apart @ apart)))


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
