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
from monitoring.performance import Estimate, by_day, estimate, row_loss

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
        margin: Rise of the log-loss over the reference, nats.
        min_outcomes: Labelled rows below which nothing is decided.
    """

    margin: float
    min_outcomes: int


@dataclass(frozen=True)
class Numbers:
    """What the decision rests on; None where there is nothing to compute it from.

    Attributes:
        log_loss: Realised mean, nats a row; `low` and `high` bound it for the comparison with the reference.
        reference: Mean of the versions' references, weighted by their rows.
        difference: `log_loss` − `reference`; `difference_low` and `difference_high` bound it.
        roc_auc: Realised.
        rows: Labelled rows.
        days: Days with labelled rows.
        rows_by_version: Labelled rows of each version.
    """

    log_loss: float | None
    low: float | None
    high: float | None
    reference: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    roc_auc: float | None
    rows: int
    days: int
    margin: float
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
    """Add `loss`, `reference` and `difference` to each labelled row.

    Args:
        labelled: n_rows with `event_time`, `model_version`, `probability` and `outcome` (0 or 1, never null).
        references: By version.

    Raises:
        DataError: A version in the window has no reference.
    """
    unknown = sorted(set(labelled["model_version"].unique()) - references.keys())
    if unknown:
        raise DataError(
            f"Version {', '.join(unknown)} answered in this window, but its package with the reference is not here. "
            "Deploy it again, or choose a window without it."
        )
    means = {version: reference.loss for version, reference in references.items()}
    # Polars infers a type from an empty mapping, whatever `return_dtype` says.
    known = pl.col("model_version").replace_strict(means, return_dtype=pl.Float64)
    reference = known if means else pl.lit(None, dtype=pl.Float64)
    return labelled.with_columns(
        row_loss(pl.col("probability"), pl.col("outcome")).alias("loss"), reference.alias("reference")
    ).with_columns((pl.col("loss") - pl.col("reference")).alias("difference"))


def decide(judged: pl.DataFrame, references: Mapping[str, Reference], tolerance: Tolerance) -> Decision:
    """Decide about one window.

    Args:
        judged: What `against_reference` returns.
        references: By version.
        tolerance: Margin and least number of outcomes.
    """
    counts = rows_by_version(judged)
    difference = estimate(by_day(judged, "difference"))
    numbers = _numbers(judged, difference, _reference_variance(counts, references), tolerance.margin)
    if difference.rows < tolerance.min_outcomes:
        reason = f"{difference.rows:,} labelled rows decide nothing: at least {tolerance.min_outcomes:,} are needed."
        return Decision(Verdict.TOO_FEW, reason, numbers)
    if difference.days < MIN_DAYS:
        reason = f"{difference.days} days with outcomes decide nothing: at least {MIN_DAYS} are needed."
        return Decision(Verdict.TOO_FEW, reason, numbers)
    assert numbers.difference_low is not None  # noqa: S101  rows and days were counted above
    harm = numbers.difference_low > tolerance.margin
    return Decision(Verdict.HARM if harm else Verdict.QUIET, _sentence(numbers, harm=harm), numbers)


def rows_by_version(frame: pl.DataFrame) -> dict[str, int]:
    """Count the rows of each `model_version`, most rows first."""
    counted = (
        frame.group_by("model_version").agg(pl.len().alias("rows")).sort(["rows", "model_version"], descending=True)
    )
    return {str(version): int(rows) for version, rows in counted.iter_rows()}


def _reference_variance(counts: Mapping[str, int], references: Mapping[str, Reference]) -> float:
    """Variance of the mean reference: versions were validated apart, so their errors add in squares."""
    total = sum(counts.values())
    return sum((rows / total * references[version].standard_error) ** 2 for version, rows in counts.items())


def _numbers(judged: pl.DataFrame, difference: Estimate, extra_variance: float, margin: float) -> Numbers:
    counts = rows_by_version(judged)
    if difference.rows == 0:
        nothing = (None,) * 8
        return Numbers(*nothing, rows=0, days=0, margin=margin, rows_by_version=counts)
    loss, reference = _mean(judged, "loss"), _mean(judged, "reference")
    low, high = difference.interval(extra_variance=extra_variance) if difference.days >= 2 else (None, None)
    return Numbers(
        log_loss=loss,
        low=None if low is None else reference + low,
        high=None if high is None else reference + high,
        reference=reference,
        difference=difference.mean,
        difference_low=low,
        difference_high=high,
        roc_auc=area_under_curve(judged["outcome"].to_numpy() > 0.5, judged["probability"].to_numpy()),
        rows=difference.rows,
        days=difference.days,
        margin=margin,
        rows_by_version=counts,
    )


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame[column].sum()) / frame.height


def _sentence(numbers: Numbers, *, harm: bool) -> str:
    found = (
        f"Log-loss {numbers.log_loss:.4f} over {numbers.rows:,} rows of {numbers.days} days against the reference "
        f"{numbers.reference:.4f}: {numbers.difference:+.4f}, between {numbers.difference_low:+.4f} and "
        f"{numbers.difference_high:+.4f}"
    )
    if harm:
        return f"{found}; all of that lies above the tolerated {numbers.margin:+.4f}."
    return f"{found}; that does not show more than the tolerated {numbers.margin:+.4f}."
