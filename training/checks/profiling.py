"""The profile of all training rows: a frame in, `flywheel.profile.DataProfile` out.

It is computed from a sample of at most `SAMPLE_ROWS` rows, so five million rows cost what fifty thousand do.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from flywheel.contract import ColumnType, Contract
from flywheel.profile import MIN_SEEN, ColumnProfile, DataColumn, DataProfile, DayStatistic
from flywheel.profiling.placing import QUANTILES
from flywheel.profiling.scale import MAX_PAIRED
from flywheel.statistics import Floats
from training.checks.days import (
    DAY_MICROSECONDS,
    Days,
    column_days,
    day_statistic,
    days_of,
    sample_rows,
    time_span,
)


def profile_data(frame: pl.DataFrame, contract: Contract, event_time: str) -> DataProfile:
    """Profile n_rows by (event time, inputs, …), at least one row; only the contract's columns are looked at.

    Category values appear only when the sample holds them at least `MIN_SEEN` times; keys are no inputs, so never.
    """
    names = [column.name for column in contract.columns]
    sample = sample_rows(frame.select(names))
    if not sample[event_time].is_sorted():
        sample = sample.sort(event_time)
    days = days_of(sample[event_time])
    made = [_data_column(sample[column.name], column.type, days) for column in contract.columns]
    scores = {column.name: places for column, places in made if places is not None}
    paired = tuple(scores)[:MAX_PAIRED]
    counts = rows_per_day(frame[event_time])
    start, end = time_span(frame[event_time])
    return DataProfile(
        rows=frame.height,
        start=start,
        end=end,
        days=int((counts > 0).sum()),
        rows_per_day=day_statistic(_inner(counts)),
        columns=tuple(column for column, _ in made),
        paired=paired,
        together=correlations([scores[name] for name in paired]),
    )


def profile_column(values: pl.Series, kind: ColumnType) -> ColumnProfile:
    """Summarise one column of n_rows: quantiles of numbers and times, shares of categories seen often enough."""
    rows = max(len(values), 1)
    present = values.drop_nulls()
    missing = values.null_count() / rows
    if kind in ("string", "boolean"):
        counts = present.cast(pl.String).value_counts(name="rows").filter(pl.col("rows") >= MIN_SEEN)
        shares = {name: seen / rows for name, seen in sorted(counts.iter_rows())}
        return ColumnProfile(name=values.name, type=kind, missing_share=missing, categories=shares)
    numbers = present.dt.epoch("us") / 1e6 if kind == "datetime" else present.cast(pl.Float64)
    return ColumnProfile(name=values.name, type=kind, missing_share=missing, quantiles=quantiles_of(numbers))


def quantiles_of(numbers: pl.Series) -> tuple[float, ...]:
    """Return the 0 %, 1 %, … 100 % quantiles (linear between values) of finite numbers; empty without any."""
    finite = numbers.filter(numbers.is_finite()) if numbers.dtype.is_float() else numbers
    if finite.is_empty():
        return ()
    ordered = finite.cast(pl.Float64).sort().to_numpy()
    at = np.linspace(0, len(ordered) - 1, QUANTILES)
    return tuple(np.interp(at, np.arange(len(ordered)), ordered).tolist())


def rows_per_day(times: pl.Series) -> Floats:
    """Return the number of rows of each day from the first to the last, (n_days,), days without rows included."""
    moments = times.to_physical().to_numpy()
    if not times.is_sorted():
        moments = np.sort(moments)
    first, last = int(moments[0]) // DAY_MICROSECONDS, int(moments[-1]) // DAY_MICROSECONDS
    edges = np.searchsorted(moments, np.arange(first, last + 2) * DAY_MICROSECONDS)
    return np.diff(edges).astype(np.float64)


def correlations(scores: Sequence[Floats]) -> tuple[tuple[float, ...], ...]:
    """Return the correlation matrix of columns within days, each (n_rows,); missing counts as the day's mean."""
    if len(scores) < 2:
        return ()
    unit = np.array([standardised(places) for places in scores])
    return tuple(tuple(row) for row in np.round(unit @ unit.T / unit.shape[1], 4).tolist())


def standardised(scores: Floats) -> Floats:
    """Bring scores to mean 0 and variance 1; a constant column to 0."""
    deviation = float(scores.std())
    return np.asarray((scores - scores.mean()) / (deviation if deviation > 0 else 1.0))


def _data_column(values: pl.Series, kind: ColumnType, days: Days) -> tuple[DataColumn, Floats | None]:
    profile = profile_column(values, kind)
    figures = column_days(values, kind, days, profile)

    def statistic(figure: Floats | None) -> DayStatistic | None:
        return None if figure is None else day_statistic(figure)

    column = DataColumn(
        **profile.model_dump(),
        missing=day_statistic(figures.missing),
        location=statistic(figures.location),
        spread=statistic(figures.spread),
        shares={name: day_statistic(share) for name, share in figures.shares.items()},
        other=statistic(figures.other),
    )
    return column, figures.within


def _inner(counts: Floats) -> Floats:
    """Leave out the first and the last day, which the window cuts, when others remain."""
    return counts[1:-1] if len(counts) > 2 else counts
