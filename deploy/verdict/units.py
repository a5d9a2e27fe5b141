"""Unit mode: whole users or pods are what was randomised, so their sums are what is compared.

Errors of one user or one pod come in bursts, and a test that counts them one by one is wrong many times its α. Here the
canary's sum stands against the sums that other draws of the same units would have given. A unit's count is cut at a
cap that was fixed before the start, so that no single unit decides.

Users belong to their arm at every look, so that each enters once, with its errors at the first look at which it has
any. Pods are compared anew at each look: bursts are held, but one pod that is bad for the whole rollout is not told
from a bad version by any such test.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.verdict.distributions import NO_COUNTS, Distribution, binomial
from deploy.verdict.spending import NOTHING_SPENT, Spending


@dataclass(frozen=True)
class UnitPlan:
    """What is fixed before the start.

    Args:
        cap: What a unit's errors in one look are cut at.
        alpha: Probability of rolling back a canary that is as good as the champion.
        planned: Errors of both arms, after the cut, at which all of alpha may have been spent.
    """

    cap: int
    alpha: float
    planned: float


@dataclass(frozen=True)
class Users:
    """Users as units: who has been counted, and the spending."""

    counted: tuple[str, ...] = ()
    spending: Spending = NOTHING_SPENT

    def take(
        self, plan: UnitPlan, share: float, canary: Mapping[str, int], baseline: Mapping[str, int]
    ) -> tuple["Users", bool]:
        """Take one look.

        Args:
            plan: Fixed before the start.
            share: Share of the users that a hash assigns to the canary (0 to 1); the same at all looks of this state.
            canary: Errors since the last look, by user; who had none may be left out.
            baseline: The same of the champion's users.

        Returns:
            The next state, and whether the canary is found worse.

        Raises:
            ValueError: A user is in both arms: then users are not what was randomised.
        """
        both = sorted(set(canary) & set(baseline))
        if both:
            raise ValueError(f"User '{both[0]}' is in both arms, so users are not the units that were randomised.")
        new_canary, new_baseline = self._new(plan, canary), self._new(plan, baseline)
        everyone = [*new_canary.values(), *new_baseline.values()]
        spending, worse = self.spending.take(
            sum(new_canary.values()), sum(everyone), assigned(everyone, share), alpha=plan.alpha, planned=plan.planned
        )
        return Users(tuple(sorted({*self.counted, *new_canary, *new_baseline})), spending), worse

    def next_step(self) -> "Users":
        """Start a step whose hash has a new salt: everybody is assigned anew, and may be counted again."""
        return replace(self, counted=())

    def _new(self, plan: UnitPlan, errors: Mapping[str, int]) -> dict[str, int]:
        known = set(self.counted)
        return {user: min(count, plan.cap) for user, count in errors.items() if count > 0 and user not in known}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"counted": list(self.counted), "spending": self.spending.to_json()}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Users":
        """Read what `to_json` wrote."""
        return cls(tuple(body["counted"]), Spending.from_json(body["spending"]))


def take_pods(
    plan: UnitPlan, spending: Spending, canary: Sequence[int], baseline: Sequence[int]
) -> tuple[Spending, bool]:
    """Take one look at pods of equal traffic.

    Args:
        plan: Fixed before the start.
        spending: After the last look.
        canary: Errors since the last look of each of the canary's pods, those without errors included.
        baseline: The same of the champion's pods.

    Returns:
        The next state, and whether the canary is found worse. Without a pod in either arm nothing changes.
    """
    if not canary or not baseline:
        return spending, False
    cut, others = [min(count, plan.cap) for count in canary], [min(count, plan.cap) for count in baseline]
    kernel = drawn([*cut, *others], len(cut))
    return spending.take(sum(cut), sum(cut) + sum(others), kernel, alpha=plan.alpha, planned=plan.planned)


def assigned(counts: Collection[int], share: float) -> Distribution:
    """Return the distribution of the canary's sum when each unit is the canary's with chance `share`, by itself."""
    total = NO_COUNTS
    for count, units in sorted(Counter(count for count in counts if count > 0).items()):
        total = total.plus(_stretched(binomial(units, share), count))
    return total


def drawn(counts: Collection[int], units: int) -> Distribution:
    """Return the distribution of the sum of so many units, drawn without replacement from all of them.

    Dynamic programming over the units with errors: in how many ways can j of them have the sum s; those without errors
    fill up the draw. Exact: integers until the last division.
    """
    bad = [count for count in counts if count > 0]
    ways = Counter({(0, 0): 1})
    for count in bad:
        ways.update({(chosen + 1, total + count): way for (chosen, total), way in ways.items() if chosen < units})
    by_sum = Counter[int]()
    for (chosen, total), way in ways.items():
        by_sum[total] += way * math.comb(len(counts) - len(bad), units - chosen)
    draws = math.comb(len(counts), units)
    return Distribution(0, tuple(by_sum[total] / draws for total in range(max(by_sum) + 1)))


def _stretched(distribution: Distribution, factor: int) -> Distribution:
    """Return the distribution of a count times a whole factor of at least 1."""
    chances = [0.0] * ((len(distribution.chances) - 1) * factor + 1)
    chances[::factor] = distribution.chances
    return Distribution(distribution.start * factor, tuple(chances))
