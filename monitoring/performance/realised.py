"""How well the answers of a window turned out: the mean of the rows' losses with an honest interval.

The unit of evidence is the day, not the row. Rows of one day share weather, holidays and outages, so an interval that
counts rows is far too narrow and calls every window a change. Everything here is a pure function of its frame.
"""

import math
from dataclasses import dataclass

import polars as pl
from scipy.special import stdtrit  # 0.2 s to import; scipy.stats takes 1.7 s

from flywheel.statistics import clustered_error

CONFIDENCE = 0.95  # two-sided: a lower bound above the margin is a 2.5 % event when there is no harm


@dataclass(frozen=True)
class Estimate:
    """A mean over rows, with a standard error between days.

    Attributes:
        mean: Mean over rows.
        standard_error: Of the mean, from the differences between days; infinite with fewer than two days.
        rows: Rows in it.
        days: Days with at least one row.
    """

    mean: float
    standard_error: float
    rows: int
    days: int

    def interval(self, *, extra_variance: float = 0.0, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the bounds of the mean by Student's t with days − 1 degrees of freedom.

        Args:
            extra_variance: Variance of what the mean is compared with, such as a reference's squared standard error.
            confidence: Two-sided, 0 to 1.
        """
        if self.days < 2:
            return -math.inf, math.inf
        quantile = float(stdtrit(self.days - 1, 0.5 + confidence / 2))
        half = quantile * math.sqrt(self.standard_error**2 + extra_variance)
        return self.mean - half, self.mean + half


def by_day(frame: pl.DataFrame, value: str) -> pl.DataFrame:
    """Sum a column by day of event time (UTC).

    Args:
        frame: With `event_time` and the column `value`, n_rows.
        value: The column to sum.

    Returns:
        One row a day, in order: `day`, `rows`, `total`.
    """
    return (
        frame.group_by(pl.col("event_time").dt.date().alias("day"))
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col(value).cast(pl.Float64).sum().alias("total"))
        .sort("day")
    )


def estimate(daily: pl.DataFrame) -> Estimate:
    """Estimate the mean over rows from sums by day, as a ratio of two sums over days.

    Days that hang together widen the truth beyond the standard error, which is why the decision has a margin.

    Args:
        daily: What `by_day` returns.
    """
    days, rows = daily.height, int(daily["rows"].sum())
    if rows == 0:
        return Estimate(math.nan, math.inf, 0, 0)
    error = clustered_error(daily["total"].to_numpy(), daily["rows"].to_numpy())
    return Estimate(float(daily["total"].sum()) / rows, error, rows, days)
