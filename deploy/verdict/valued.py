"""The metric of values: a loss or a reward, paired or of two arms, which rolls back and opens gates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.verdict.means import Mean, MeanPlan
from deploy.verdict.readings import Reading


@dataclass(frozen=True)
class Values:
    """The difference of means, canary - champion; above the tolerance is worse.

    Args:
        plan: Bounds and marks of the difference; its α is that of the intervals and of the gate.
        alpha: The guard's part of the plan's α.
        mean: After the looks so far.
        worse: The canary was found worse.
    """

    plan: MeanPlan
    alpha: float
    mean: Mean = Mean()  # noqa: RUF009 - frozen, and so are its parts
    worse: bool = False

    def take(self, look: Sequence[float]) -> "Values":
        """Take in one look's differences, of pairs or as `differences` makes them."""
        mean = self.mean.take(self.plan, look)
        return replace(self, mean=mean, worse=self.worse or mean.evidence_worse(self.plan) >= 1 / self.alpha)

    def next_step(self) -> "Values":
        """Start the next step: the difference of means is the same at any share, so all is kept."""
        return self

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        good, count = self.mean.evidence_good(self.plan), self.mean.moments.count
        low, high = self.mean.bernstein_interval(self.plan)
        seen = f"{self.plan.value(self.mean.moments.total / count):.4g}" if count else "not seen"
        return Reading(
            worse=self.worse,
            good=good >= 1 / self.plan.alpha,
            sentence=f"The mean difference of {count:,} is {seen}, and between {low:.4g} and {high:.4g}.",
            statistic={
                "evidence_worse": self.mean.evidence_worse(self.plan),
                "threshold_worse": 1 / self.alpha,
                "evidence": good,
                "threshold": 1 / self.plan.alpha,
            },
            interval={
                "mean difference": (low, high),
                "mean difference, by bets": self.mean.betting_interval(self.plan),
            },
            counts={"differences": count},
        )
