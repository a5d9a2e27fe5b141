"""Realised loss by parts of a column, and the worst part named, with intervals that hold for all of them together."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
from scipy.special import stdtrit

from monitoring.performance.measure import Measure

LEVEL = 0.05  # probability that any of the intervals of one window misses its truth
MOST_PARTS = 50  # of one column, those with most rows; a column of keys is no column to slice by
LEAST_ROWS = 30
FEW_VALUES = 12  # a number with no more is its own part, as an hour or a grade is
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Slice:
    """One part: the rows with one value of one column.

    Attributes:
        column: An input.
        value: Its value, as text.
        rows: Labelled rows.
        days: Days among them.
        loss: Their mean loss.
        excess: `loss` minus that of all other rows of the window.
        low: Lower bound of `excess`, simultaneous over all parts.
        high: Upper bound.
        reference: The part's loss on the reference sample; None where that has too few rows of it.
    """

    column: str
    value: str
    rows: int
    days: int
    loss: float
    excess: float
    low: float
    high: float
    reference: float | None = None


@dataclass(frozen=True)
class Slices:
    """All parts of a window, the worst first, and the sentence about them."""

    parts: tuple[Slice, ...]
    reason: str

    @property
    def worst(self) -> Slice | None:
        """The part whose loss is surely above the others' by most; None when there is none."""
        first = self.parts[0] if self.parts else None
        return first if first is not None and first.low > 0 else None

    def body(self) -> dict[str, object]:
        """Return it as plain values."""
        return {"reason": self.reason, "slices": [asdict(part) for part in self.parts]}


def judge_slices(
    labelled: pl.DataFrame, columns: Sequence[str], measure: Measure, reference: pl.DataFrame | None = None
) -> Slices:
    """Judge the parts of columns.

    Args:
        labelled: n_rows with `event_time`, `loss` (never null) and the columns; numbers with many values fall into
            quarters.
        columns: `evaluate.slices` and `monitor.slices` of the use case; those that are no column are left out.
        measure: The loss.
        reference: The reference sample with `loss` and the columns.
    """
    known = [column for column in dict.fromkeys(columns) if column in labelled.columns]
    values = {column: part_of(column, labelled[column]) for column in known}
    daily = {column: _by_day(labelled, value) for column, value in values.items()}
    tried = sum(frame["value"].n_unique() for frame in daily.values())
    parts = [
        _slice(column, str(name[0]), own, tried)
        for column, frame in daily.items()
        for name, own in frame.partition_by("value", as_dict=True, maintain_order=True).items()
    ]
    if reference is not None:
        losses = {column: _losses(reference, value) for column, value in values.items() if column in reference}
        parts = [replace(part, reference=losses.get(part.column, {}).get(part.value)) for part in parts]
    ordered = tuple(sorted(parts, key=lambda part: (-part.low, -part.excess)))
    return Slices(ordered, _sentence(ordered, measure))


def part_of(column: str, values: pl.Series) -> pl.Expr:
    """Return the name of the part in which each row of a column lies, by the values of the window."""
    whole = pl.col(column)
    if values.dtype.is_numeric() and values.n_unique() > FEW_VALUES:
        points = sorted({float(point) for share in QUARTERS if (point := values.quantile(share)) is not None})
        return _quarter(column, points)
    return whole.cast(pl.String).fill_null("missing").alias("value")


def _quarter(column: str, points: Sequence[float]) -> pl.Expr:
    """Return the name of the span between two points in which each row lies, its upper end included."""
    value = pl.col(column)
    name = pl.when(value.is_null()).then(pl.lit("missing")).when(value <= points[0]).then(pl.lit(f"≤ {points[0]:.4g}"))
    for low, high in pairwise(points):
        name = name.when(value <= high).then(pl.lit(f"{low:.4g} to {high:.4g}"))
    return name.otherwise(pl.lit(f"> {points[-1]:.4g}")).alias("value")


def _by_day(labelled: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    """Return `value`, `day`, `rows` and `total` loss, of the parts with most rows; one row more a day for the rest."""
    named = labelled.select(value, pl.col("event_time").dt.date().alias("day"), pl.col("loss").cast(pl.Float64))
    counted = named.group_by("value").len().sort(["len", "value"], descending=[True, False]).head(MOST_PARTS)
    kept = counted.filter(pl.col("len") >= LEAST_ROWS)["value"]
    sums = (pl.len().cast(pl.Int64).alias("rows"), pl.col("loss").sum().alias("total"))
    own = named.filter(pl.col("value").is_in(kept.implode())).group_by("value", "day").agg(sums)
    whole = named.group_by("day").agg(sums).rename({"rows": "all_rows", "total": "all_total"})
    return (
        own.select("value")
        .unique()
        .join(whole, how="cross")
        .join(own, on=["value", "day"], how="left")
        .with_columns(pl.col("rows", "total").fill_null(0))
        .sort("value", "day")
    )


def _slice(column: str, value: str, own: pl.DataFrame, tried: int) -> Slice:
    """Judge one part by its days and those of all other rows."""
    rows, total, all_rows, all_total = (
        own[name].to_numpy().astype(np.float64) for name in ("rows", "total", "all_rows", "all_total")
    )
    others = all_rows.sum() - rows.sum()
    loss = total.sum() / rows.sum()
    rest = (all_total.sum() - total.sum()) / others if others else loss
    # What each day adds to the error of the difference: Taylor's linearisation, as in flywheel.statistics
    influence = (total - loss * rows) / rows.sum()
    if others:
        influence -= ((all_total - total) - rest * (all_rows - rows)) / others
    days, seen = len(rows), int((rows > 0).sum())
    half = math.inf
    if seen > 1 and others:
        error = math.sqrt(days / (days - 1) * float(influence @ influence))
        half = float(stdtrit(seen - 1, 1 - LEVEL / 2 / max(tried, 1))) * error  # Bonferroni's correction
    excess = float(loss - rest)
    return Slice(column, value, int(rows.sum()), seen, float(loss), excess, excess - half, excess + half)


def _losses(reference: pl.DataFrame, value: pl.Expr) -> dict[str, float]:
    """Return the mean loss of each part of a column in the reference sample, where it has rows enough."""
    parts = reference.select(value, "loss").group_by("value").agg(pl.len(), pl.col("loss").mean())
    return {str(name): float(loss) for name, rows, loss in parts.iter_rows() if rows >= LEAST_ROWS}


def _sentence(parts: Sequence[Slice], measure: Measure) -> str:
    if not parts:
        return "No part has rows enough to be judged."
    first = parts[0]
    where = f"{first.column} = {first.value}"
    found = (
        f"{measure.title} {measure.text(first.loss)} over {first.rows:,} rows, {measure.text(first.excess, sign=True)} "
        f"against the others, between {measure.text(first.low, sign=True)} and {measure.text(first.high, sign=True)}"
    )
    if first.low > 0:
        before = "" if first.reference is None else f"; on the reference it was {measure.text(first.reference)}"
        return f"The worst of {len(parts)} parts is {where}: {found}{before}."
    return f"None of {len(parts)} parts is surely worse than the others; the nearest to it is {where}: {found}."
