"""Gate: is the version bearable everywhere, or bad for some part of the rows?"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from flywheel.limits import Limits
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged
from registry.gates.intervals import mean_of
from registry.gates.sample import Sample, read_evaluation

FEWEST_ROWS = 50
MOST_VALUES = 50  # a column with more values has no parts that people name


@dataclass(frozen=True)
class Part:
    """Rows with one value of a column, or found by training's search: their loss as a multiple of all rows' loss."""

    name: str
    rows: int
    ratio: float
    low: float
    high: float
    origin: str


class Slices:
    """Computes the loss of each part anew, and reads the worst parts that training's search found.

    A part fails when it is shown to lie above the limit: the lower end of its 95 % interval does.
    """

    name = "slices"
    title = "Worst part of the rows"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Look at the use case's slices, at text and truth values, and at what training found."""
        if candidate.sample is None or candidate.package is None:
            raise UnmeasurableError("There are no labelled rows: the version is no package that `mlflow run` made.")
        parts = [*_computed(candidate.sample, candidate.package.usecase.evaluate.slices), *_found(candidate)]
        if not parts:
            return judged(True, f"No part of the sample has the {FEWEST_ROWS} rows that a judgement needs.")
        limit = limits.slice_loss_ratio
        worst = max(parts, key=lambda part: (part.low if limit is not None and part.low > limit else 0, part.ratio))
        failed = [part.name for part in parts if limit is not None and part.low > limit]
        return judged(
            not failed,
            f"The worst of {len(parts)} parts is {worst.name} ({worst.rows} rows): its loss is {worst.ratio:.2f} times"
            f" that of all rows (95 % interval {worst.low:.2f} to {worst.high:.2f}; {worst.origin}).",
            value=round(worst.ratio, 4),
            limit=limit,
            unit="times",
            low=round(worst.low, 4),
            high=round(worst.high, 4),
            details={
                "parts": len(parts),
                "failed": failed[:10],
                "worst": [
                    {"part": part.name, "rows": part.rows, "ratio": round(part.ratio, 4)}
                    for part in sorted(parts, key=lambda part: -part.ratio)[:5]
                ],
            },
        )


def _computed(sample: Sample, asked: tuple[str, ...]) -> list[Part]:
    whole = float(sample.losses.mean())
    columns = [
        column
        for column in sample.inputs.get_columns()
        if column.name in asked or column.dtype in (pl.String, pl.Boolean)
    ]
    if not whole:
        return []
    return [part for column in columns for part in _parts(sample, column, whole)]


def _parts(sample: Sample, column: pl.Series, whole: float) -> list[Part]:
    codes = column.cast(pl.String).fill_null("missing")
    counts = codes.value_counts()
    if counts.height > MOST_VALUES:
        return []
    found = []
    for value, rows in counts.sort(column.name).iter_rows():
        if rows < FEWEST_ROWS or rows == len(codes):
            continue
        inside = (codes == value).to_numpy()
        mean = mean_of(sample.losses[inside], sample.days[inside])
        low, high = max(0.0, mean.low / whole), mean.high / whole
        name = f"{column.name} is {value}"
        found.append(Part(name, rows, mean.value / whole, low, high, "computed again on the sample"))
    return [part for part in found if np.isfinite(part.high)]


def _found(candidate: Candidate) -> list[Part]:
    """Return what training's search found: loss and its difference to all rows, with an interval."""
    search = read_evaluation(candidate.folder).get("worst_slices") or {}
    parts = []
    for one in search.get("found") or ():
        difference, loss, rows = one["difference"], float(one["loss"]), int(one["rows"])
        whole = loss - float(difference["value"])
        if rows < FEWEST_ROWS or whole <= 0 or difference.get("low") is None or difference.get("high") is None:
            continue
        name = " and ".join(f"{column} is {value}" for column, value in one["conditions"])
        low, high = (max(0.0, (whole + float(difference[end])) / whole) for end in ("low", "high"))
        parts.append(Part(name, rows, loss / whole, low, high, "found by training's search"))
    return parts
