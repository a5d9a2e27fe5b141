"""The guard on one kind of bad count: spending on a plan, with the mixture as the hedge that needs none."""

from dataclasses import dataclass
from typing import Any

from deploy.verdict import mixture
from deploy.verdict.distributions import binomial
from deploy.verdict.schedule import Schedule
from deploy.verdict.spending import NOTHING_SPENT, Spending


@dataclass(frozen=True)
class Guard:
    """Both tests of "bad no more often than the champion", after some looks."""

    spending: Spending = NOTHING_SPENT
    log_ratios: tuple[float, ...] = mixture.NO_RATIOS

    @property
    def hedge(self) -> float:
        """E-value of the mixture."""
        return mixture.evidence(self.log_ratios)

    def take(
        self, canary: int, baseline: int, share: float, *, alpha: float, schedule: Schedule, requests: int = 0
    ) -> tuple["Guard", bool]:
        """Carry both tests over one look.

        Args:
            canary: Bad counts of the canary.
            baseline: Bad counts of the champion.
            share: Share of the requests that was randomised to the canary (0 to 1).
            alpha: Probability of rejecting a canary that is as good as the champion.
            schedule: How it is spent.
            requests: Requests of both arms, for a schedule that goes by them.

        Returns:
            The next state, and whether one of the tests rejects.
        """
        total = canary + baseline
        spending, rejected = self.spending.take(
            canary,
            total,
            lambda null: null.plus(binomial(total, share)),
            alpha=schedule.spending_share * alpha,
            planned=schedule.planned,
            pace=schedule.pace,
            evidence=schedule.evidence(total, requests),
        )
        after = Guard(spending, mixture.carry(self.log_ratios, canary, baseline, share))
        return after, rejected or after.hedge >= hedge_threshold(alpha, schedule)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"spending": self.spending.to_json(), "log_ratios": list(self.log_ratios)}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Guard":
        """Read what `to_json` wrote."""
        return cls(Spending.from_json(body["spending"]), tuple(body["log_ratios"]))


def hedge_threshold(alpha: float, schedule: Schedule) -> float:
    """Return the e-value of the mixture at which it rejects: it has what the plan does not spend."""
    return 1 / ((1 - schedule.spending_share) * alpha)
