"""The decision about one window: is the realised loss worse than the reference by more than the margin?

Each row is judged against the reference of the version that answered it. Pure: the same frame gives the same decision.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

import polars as pl

from flywheel.errors import DataError
from flywheel.profile import Reference
from flywheel.statistics import area_under_curve
from monitoring.performance.measure import LOG_LOSS, Measure
from monitoring.performance.realised import Estimate, by_day, estimate

MIN_DAYS = 5  # Student's t over fewer days is so wide that only a catastrophe passes; and a day may be odd


class Verdict(StrEnum):
    """What one window says."""

    QUIET = "quiet"  # no evidence of harm beyond the margin
    HARM = "harm"  # the whole interval of the difference lies above the margin
    TOO_FEW = "too few"  # too few outcomes or days to say either


@dataclass(frozen=True)
class Tolerance:
    """What a use case tolerates.

    Attributes:
        margin: Rise of the loss over the reference: nats of log-loss, or a share of the reference's squared error.
        min_outcomes: Labelled rows below which nothing is decided.
        measure: The loss.
    """

    margin: float
    min_outcomes: int
    measure: Measure = LOG_LOSS


@dataclass(frozen=True)
class Numbers:
    """What the decision rests on; None where there is nothing to compute it from.

    Attributes:
        loss_name: log_loss (nats) or squared_error.
        loss: Realised mean over rows; `low` and `high` bound it for the comparison with the reference.
        reference: Mean of the versions' references, weighted by their rows.
        difference: `loss` − `reference`; `difference_low` and `difference_high` bound it.
        margin: The rise that is tolerated, in units of the loss.
        roc_auc: Realised; for two classes only.
        rows: Labelled rows.
        days: Days with labelled rows.
        rows_by_version: Labelled rows of each version.
    """

    loss_name: str
    loss: float | None
    low: float | None
    high: float | None
    reference: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    roc_auc: float | None
    margin: float | None
    rows: int
    days: int
    rows_by_version: dict[str, int]


@dataclass(frozen=True)
class Decision:
    """A verdict, the sentence that explains it, and its numbers."""

    verdict: Verdict
    reason: str
    numbers: Numbers

    def body(self) -> dict[str, object]:
        """Return it as plain values, for an event."""
        return {"verdict": self.verdict.value, "reason": self.reason, **asdict(self.numbers)}


def against_reference(labelled: pl.DataFrame, references: Mapping[str, Reference]) -> pl.DataFrame:
    """Add `reference` and `difference` to each labelled row.

    Args:
        labelled: n_rows with `event_time`, `model_version` and `loss` (never null).
        references: Of each version among them.
    """
    means = {version: reference.loss for version, reference in references.items()}
    # Polars infers a type from an empty mapping, whatever `return_dtype` says.
    known = pl.col("model_version").replace_strict(means, return_dtype=pl.Float64)
    reference = known if means else pl.lit(None, dtype=pl.Float64)
    return labelled.with_columns(reference.alias("reference")).with_columns(
        (pl.col("loss") - pl.col("reference")).alias("difference")
    )


def decide(judged: pl.DataFrame, references: Mapping[str, Reference], tolerance: Tolerance) -> Decision:
    """Decide about one window.

    Args:
        judged: What `against_reference` returns, with `prediction` and `outcome`.
        references: By version.
        tolerance: Margin and least number of outcomes.

    Raises:
        DataError: A reference is one of another loss.
    """
    _refuse_other_losses(references, tolerance.measure)
    difference = estimate(by_day(judged, "difference"))
    numbers = _numbers(judged, difference, references, tolerance)
    if difference.rows < tolerance.min_outcomes:
        reason = f"{difference.rows:,} labelled rows decide nothing: at least {tolerance.min_outcomes:,} are needed."
        return Decision(Verdict.TOO_FEW, reason, numbers)
    if difference.days < MIN_DAYS:
        reason = f"{difference.days} days with outcomes decide nothing: at least {MIN_DAYS} are needed."
        return Decision(Verdict.TOO_FEW, reason, numbers)
    assert numbers.difference_low is not None  # noqa: S101  rows and days were counted above
    assert numbers.margin is not None  # noqa: S101
    harm = numbers.difference_low > numbers.margin
    return Decision(Verdict.HARM if harm else Verdict.QUIET, _sentence(numbers, tolerance, harm=harm), numbers)


def rows_by_version(frame: pl.DataFrame) -> dict[str, int]:
    """Count the rows of each `model_version`, most rows first."""
    counted = (
        frame.group_by("model_version").agg(pl.len().alias("rows")).sort(["rows", "model_version"], descending=True)
    )
    return {str(version): int(rows) for version, rows in counted.iter_rows()}


def _refuse_other_losses(references: Mapping[str, Reference], measure: Measure) -> None:
    for version, reference in references.items():
        if reference.loss_name != measure.name:
            raise DataError(
                f"Version {version} was measured by its {reference.loss_name}, and this use case is by {measure.name}. "
                "Choose a window without it, or the use case that it was trained for."
            )


def _reference_variance(counts: Mapping[str, int], references: Mapping[str, Reference]) -> float:
    """Variance of the mean reference: versions were validated apart, so their errors add in squares."""
    total = sum(counts.values())
    return sum((rows / total * references[version].standard_error) ** 2 for version, rows in counts.items())


def _numbers(
    judged: pl.DataFrame, difference: Estimate, references: Mapping[str, Reference], tolerance: Tolerance
) -> Numbers:
    counts, measure = rows_by_version(judged), tolerance.measure
    if difference.rows == 0:
        nothing = (None,) * 9
        return Numbers(measure.name, *nothing, rows=0, days=0, rows_by_version=counts)
    loss, reference = _mean(judged, "loss"), _mean(judged, "reference")
    variance = _reference_variance(counts, references)
    if measure.relative:
        variance *= (1 + tolerance.margin) ** 2  # the limit is the reference times that, and so is its error
    low, high = difference.interval(extra_variance=variance) if difference.days >= 2 else (None, None)
    return Numbers(
        loss_name=measure.name,
        loss=loss,
        low=None if low is None else reference + low,
        high=None if high is None else reference + high,
        reference=reference,
        difference=difference.mean,
        difference_low=low,
        difference_high=high,
        roc_auc=_ranking(judged, measure),
        margin=measure.tolerated(tolerance.margin, reference),
        rows=difference.rows,
        days=difference.days,
        rows_by_version=counts,
    )


def _ranking(judged: pl.DataFrame, measure: Measure) -> float | None:
    prediction, outcome = judged["prediction"], judged["outcome"]
    if measure is not LOG_LOSS or not prediction.dtype.is_numeric():
        return None
    return area_under_curve(outcome.to_numpy() > 0.5, prediction.to_numpy())


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame[column].sum()) / frame.height


def _sentence(numbers: Numbers, tolerance: Tolerance, *, harm: bool) -> str:
    measure = tolerance.measure
    loss, reference = measure.text(numbers.loss or 0), measure.text(numbers.reference or 0)
    difference, low, high, limit = (
        measure.text(value or 0, sign=True)
        for value in (numbers.difference, numbers.difference_low, numbers.difference_high, numbers.margin)
    )
    found = (
        f"{measure.title} {loss} over {numbers.rows:,} rows of {numbers.days} days against the reference "
        f"{reference}: {difference}, between {low} and {high}"
    )
    if measure.relative:
        limit += f" ({tolerance.margin:.3g} of the reference)"
    if harm:
        return f"{found}; all of that lies above the tolerated {limit}."
    return f"{found}; that does not show more than the tolerated {limit}."
