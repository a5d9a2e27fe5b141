"""The metric of values: a loss or a reward, paired or of two arms, which rolls back and opens gates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.verdict.means import Mean, MeanPlan
from deploy.verdict.readings import Reading


@dataclass(frozen=True)
class ValuesPlan:
    """What is fixed before the start.

    Args:
        mean: Bounds and marks of the difference, larger being worse; its α is that of the intervals and of the gate.
        alpha: The guard's part of the plan's α.
        sign: 1 where a larger value is worse, as of a loss; -1 where it is better, as of a reward.
        opens: It opens gates; else it only rolls back.
        least_requests: Differences at a step before its gate opens.
        name: Of the differences, for sentences.
    """

    mean: MeanPlan
    alpha: float
    sign: int = 1
    opens: bool = True
    least_requests: int = 1
    name: str = "difference"


@dataclass(frozen=True)
class Values:
    """The difference of means, canary - champion.

    Args:
        plan: Fixed before the start.
        mean: After the looks so far; of the differences times the plan's sign.
        before: Differences of the steps before.
        worse: The canary was found worse.
    """

    plan: ValuesPlan
    mean: Mean = Mean()  # noqa: RUF009 - frozen, and so are its parts
    before: int = 0
    worse: bool = False

    def take(self, look: Sequence[float]) -> "Values":
        """Take in one look's differences, of pairs or as `differences` makes them."""
        mean = self.mean.take(self.plan.mean, [self.plan.sign * difference for difference in look])
        worse = mean.evidence_worse(self.plan.mean) >= 1 / self.plan.alpha
        return replace(self, mean=mean, worse=self.worse or worse)

    def next_step(self) -> "Values":
        """Start the next step: the difference of means is the same at any share, so all is kept."""
        return replace(self, before=self.mean.moments.count)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        plan, count = self.plan.mean, self.mean.moments.count
        good, enough = self.mean.evidence_good(plan), count - self.before >= self.plan.least_requests
        low, high = self._ends(self.mean.bernstein_interval(plan))
        seen = f"{self.plan.sign * plan.value(self.mean.moments.total / count):.4g}" if count else "not seen"
        return Reading(
            worse=self.worse,
            good=good >= 1 / plan.alpha and enough if self.plan.opens else None,
            sentence=f"The mean {self.plan.name} of {count:,} is {seen}, and between {low:.4g} and {high:.4g}.",
            statistic={
                "evidence_worse": self.mean.evidence_worse(plan),
                "threshold_worse": 1 / self.plan.alpha,
                "evidence": good,
                "threshold": 1 / plan.alpha,
            },
            interval={
                "mean difference": (low, high),
                "mean difference, by bets": self._ends(self.mean.betting_interval(plan)),
            },
            counts={"differences": count},
        )

    def _ends(self, interval: tuple[float, float]) -> tuple[float, float]:
        low, high = sorted(self.plan.sign * end for end in interval)
        return low, high
