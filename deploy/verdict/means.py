"""The mean of bounded values, judged at any look: a loss, a reward, or the difference of one between two versions.

Paired, as shadow traffic gives them, the values are D = canary - champion of the same request. Two arms that answered
different requests are brought to that form: each value of the smaller arm against the mean of its own group of the
other. A positive mean is the bad side.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from deploy.verdict import betting
from deploy.verdict.bernstein import Bernstein
from deploy.verdict.betting import Players
from deploy.verdict.moments import Moments


@dataclass(frozen=True)
class MeanPlan:
    """What is fixed before the start.

    Args:
        low: No value is below this, by construction.
        high: No value is above this.
        tolerance: The canary is worse when the mean is above this; 0 for a difference.
        margin: The canary is good enough when the mean is below this, which is above the tolerance.
        alpha: Probability of each error: to find it worse when it is not, good enough when it is not, or to lose the
            mean from an interval.
    """

    low: float
    high: float
    tolerance: float
    margin: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """Refuse bounds that hold no values, or marks outside of them."""
        if not self.low < self.tolerance < self.margin < self.high or math.isinf(self.high - self.low):
            raise ValueError(
                f"the bounds and marks {self.low:g}, {self.tolerance:g}, {self.margin:g}, {self.high:g}"
                " must rise: low < tolerance < margin < high"
            )

    @cached_property
    def candidates(self) -> tuple[float, ...]:
        """Hypothesised means as parts of the range (0 to 1), the marks among them."""
        return tuple(sorted({*betting.ladder(self.part(self.tolerance)), *self.marks}))

    @cached_property
    def marks(self) -> tuple[float, float]:
        """The tolerance and the margin as parts of the range (0 to 1)."""
        return self.part(self.tolerance), self.part(self.margin)

    def part(self, value: float) -> float:
        """Return a value as a part of the range (0 to 1)."""
        return (value - self.low) / (self.high - self.low)

    def value(self, part: float) -> float:
        """Return what a part of the range stands for."""
        return self.low + part * (self.high - self.low)


@dataclass(frozen=True)
class Mean:
    """All that the values so far have left behind.

    Args:
        moments: Of the values as parts of the range.
        players: The bets; None before the first value.
        bernstein: The sums of the empirical-Bernstein interval.
    """

    moments: Moments = field(default_factory=Moments)
    players: Players | None = None
    bernstein: Bernstein = field(default_factory=Bernstein)

    def take(self, plan: MeanPlan, values: Sequence[float]) -> "Mean":
        """Take in one look's values, in the order in which they came.

        Raises:
            ValueError: A value is outside of the plan's bounds, or none at all.
        """
        if not values:
            return self
        parts = [_checked(plan, value) for value in values]
        moments, bernstein = self.moments, self.bernstein
        players = self.players or betting.fresh(plan.candidates)
        for piece in self.moments.pieces(parts):
            players = players.bet(plan.candidates, moments, piece, plan.marks)
            bernstein = bernstein.plus(moments, piece, plan.alpha)
            moments = moments.plus(piece)
        return Mean(moments, players.narrowed(plan.candidates, plan.alpha), bernstein.narrowed(plan.alpha))

    def evidence_worse(self, plan: MeanPlan) -> float:
        """E-value against "the mean is at most the tolerance"; 1/α of it finds the canary worse."""
        if self.players is None:
            return 1.0
        return _exp(self.players.above[plan.candidates.index(plan.marks[0])])

    def evidence_good(self, plan: MeanPlan) -> float:
        """E-value against "the mean is the margin or more"; 1/α of it finds the canary good enough."""
        if self.players is None:
            return 1.0
        return _exp(self.players.below[plan.candidates.index(plan.marks[1])])

    def betting_interval(self, plan: MeanPlan) -> tuple[float, float]:
        """Interval for the mean that the bets leave, on the plan's candidates."""
        if self.players is None:
            return plan.low, plan.high
        return plan.value(self.players.low), plan.value(self.players.high)

    def bernstein_interval(self, plan: MeanPlan) -> tuple[float, float]:
        """Empirical-Bernstein interval for the mean: wider, and on no grid."""
        return plan.value(self.bernstein.low), plan.value(self.bernstein.high)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Mean":
        """Read what `to_json` wrote."""
        players = body["players"]
        if players is not None:
            players = Players(**{**players, "above": tuple(players["above"]), "below": tuple(players["below"])})
        return cls(Moments(**body["moments"]), players, Bernstein(**body["bernstein"]))


def differences(canary: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Return differences of two arms that answered different requests, one for each value of the smaller arm.

    Each is a value against the mean of its own group of the larger arm. Groups are cut by the counts alone, so their
    expectation is the difference of the means; no value is used twice, so they are independent (the pairing of
    Shekhar & Ramdas, arXiv 2112.09162, with the larger arm averaged).
    """
    if len(canary) > len(baseline):
        return [-difference for difference in differences(baseline, canary)]
    pairs = len(canary)
    cuts = [index * len(baseline) // pairs for index in range(pairs)] + [len(baseline)] if pairs else []
    return [
        value - math.fsum(baseline[start:end]) / (end - start)
        for value, start, end in zip(canary, cuts, cuts[1:], strict=False)
    ]


def _checked(plan: MeanPlan, value: float) -> float:
    if not plan.low <= value <= plan.high:  # NaN is not, either
        raise ValueError(f"The value {value} is outside of {plan.low} to {plan.high}, which the plan fixed.")
    return plan.part(value)


def _exp(value: float) -> float:
    return math.exp(min(value, 600.0))
