"""What the test says: a verdict with its sentence, since when, the mean loss before and after, and the evidence."""

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from scipy.special import stdtrit

CONFIDENCE = 0.95  # two-sided
LARGEST_LOG = 300.0  # beyond it a ratio is no number any more


class Verdict(StrEnum):
    """What the stream of losses says so far."""

    LEARNING = "learning"  # too few losses to know what is usual
    STEADY = "steady"  # no evidence beyond the threshold
    WORSE = "worse"  # the mean loss has risen
    BETTER = "better"  # the mean loss has fallen


@dataclass(frozen=True)
class Mean:
    """A mean of `count` losses with its 95 % interval; None where there are too few."""

    count: int
    mean: float | None
    low: float | None = None
    high: float | None = None

    def above_zero(self) -> "Mean":
        """Return it with its interval on the logarithmic scale (the delta method), which cannot reach below 0."""
        if self.mean is None or self.mean <= 0 or self.high is None:
            return self
        ratio = math.exp(min((self.high - self.mean) / self.mean, LARGEST_LOG))
        return replace(self, low=self.mean / ratio, high=self.mean * ratio)

    def text(self, unit: str) -> str:
        """Write it for a sentence."""
        if self.mean is None:
            return f"nothing (0 {unit})"
        if self.low is None or self.high is None:
            return f"{self.mean:.4g} ({self.count:,} {unit})"
        return f"{self.mean:.4g} ({self.low:.4g} to {self.high:.4g}, {self.count:,} {unit})"


@dataclass(frozen=True)
class Finding:
    """The decision of a `LossTest` at one moment.

    Attributes:
        verdict: What the losses say.
        reason: The sentence for people.
        at: Losses seen since the test was made, this one included.
        since: How many of them came before the change; None without one.
        at_mark: The caller's mark of the newest loss, such as its time.
        since_mark: The mark of the last loss before the change; None without one.
        before: Mean loss before the change; without one, so far.
        after: Mean loss since. It is chosen where it looks most changed, so it errs on the far side.
        e_value: The e-detector's sum; on average it is at most the number of losses seen while nothing changes.
        threshold: From this value on there is an alarm.
    """

    verdict: Verdict
    reason: str
    at: int
    since: int | None
    at_mark: int | None
    since_mark: int | None
    before: Mean
    after: Mean | None
    e_value: float
    threshold: float

    @property
    def alarm(self) -> bool:
        """Whether the mean loss has changed."""
        return self.verdict in {Verdict.WORSE, Verdict.BETTER}

    def body(self) -> dict[str, object]:
        """Return it as plain values, for an event."""
        return {**asdict(self), "verdict": self.verdict.value}


def mean_of(count: int, total: float, squares: float, *, inflation: float = 1.0) -> Mean:
    """Return a mean with its interval by Student's t.

    Args:
        count: Losses.
        total: Their sum.
        squares: The sum of their squares.
        inflation: By how much the variance of the mean exceeds that of as many independent losses.
    """
    if count == 0:
        return Mean(0, None)
    mean = total / count
    if count < 2:
        return Mean(count, mean)
    variance = max(squares - total * mean, 0.0) / (count - 1) * inflation
    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * math.sqrt(variance / count)
    return Mean(count, mean, mean - half, mean + half)
