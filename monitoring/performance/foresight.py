"""How far an estimate made before the outcomes is to be trusted: corrected by, and shown beside, its own past errors.

Flows in: what was estimated for earlier windows, and what they turned out to be, as far as that is known by now. Flows
out: the estimate for a new window with an interval, the error it has had, and whether it beats saying "as always".
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import stdtrit

from flywheel.statistics import Floats
from monitoring.performance.realised import CONFIDENCE

FEWEST = 3  # windows with outcomes before an estimate's own error is known at all


@dataclass(frozen=True)
class Past:
    """An earlier window whose outcomes are known.

    Attributes:
        expected: The metric as it was expected before they were, not yet corrected.
        realised: As it turned out.
    """

    expected: float
    realised: float


@dataclass(frozen=True)
class Forecast:
    """An estimate for a window without outcomes.

    Attributes:
        value: The expected metric, corrected by past errors.
        low: Lower bound, 95 %, from past errors; None with too few of them.
        high: Upper bound.
        expected: Before the correction.
        windows: Earlier windows with outcomes.
        error: Mean absolute error of `value` in those windows, each estimated from those before it; None without any.
        error_of_constant: Of saying the reference each time.
        trusted: Whether it may stand in for what is not known yet.
        reason: The sentence about that.
    """

    value: float
    low: float | None
    high: float | None
    expected: float
    windows: int
    error: float | None
    error_of_constant: float | None
    trusted: bool
    reason: str

    def body(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)


def foresee(expected: float, past: Sequence[Past], reference: float, *, drifted: str | None = None) -> Forecast:
    """Correct an expectation by the errors of earlier ones, and say what it is worth.

    Args:
        expected: The metric of the new window, as the scores let one expect it.
        past: Earlier windows, in order of time; only such whose outcomes were known before the new window began.
        reference: The metric on the reference: what a constant would say.
        drifted: Since when the relation of inputs and outcomes is known to have changed, without enough outcomes since
            to learn it anew; None when nothing is known of it.
    """
    errors = np.array([window.realised - window.expected for window in past], dtype=np.float64)
    left = errors - corrections(errors)[:-1]
    value = expected + float(corrections(errors)[-1])
    realised = np.array([window.realised for window in past], dtype=np.float64)
    error = float(np.abs(left).mean()) if len(past) else None
    constant = float(np.abs(realised - reference).mean()) if len(past) else None
    half = _half(left)
    trusted, reason = _trust(error, constant, len(past), drifted)
    return Forecast(
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        expected=expected,
        windows=len(past),
        error=error,
        error_of_constant=constant,
        trusted=trusted,
        reason=reason,
    )


def corrections(errors: Floats) -> Floats:
    """Return the correction due before each window and after the last, (n_windows + 1,): mean errors so far, shrunken.

    Σ errors / (n + 1): one window without an error is added, as before any window there is no cause for a correction.

    Args:
        errors: Realised minus expected, (n_windows,), in order of time.
    """
    return np.concatenate([[0.0], np.cumsum(errors)]) / np.arange(1, len(errors) + 2)


def _half(left: Floats) -> float | None:
    """Return half the width of the interval of one more window, by Student's t of the errors about 0."""
    if len(left) < FEWEST:
        return None
    spread = math.sqrt(float(left @ left) / len(left))
    return float(stdtrit(len(left), 0.5 + CONFIDENCE / 2)) * spread * math.sqrt(1 + 1 / len(left))


def _trust(error: float | None, constant: float | None, windows: int, drifted: str | None) -> tuple[bool, str]:
    if drifted is not None:
        return False, (
            f"Not to be trusted: what the scores mean has changed since {drifted}, and outcomes since then are too few "
            "to learn it anew."
        )
    if error is None or constant is None or windows < FEWEST:
        return False, (
            f"Not to be trusted yet: {windows} earlier windows have outcomes, and its error is known from {FEWEST} on."
        )
    beside = f"its mean error in {windows} earlier windows was {error:.3g}, that of saying the reference {constant:.3g}"
    if error > constant:
        return False, f"Not to be trusted here: {beside}."
    return True, f"Of use: {beside}."
