"""Metrics whose units are users or pods: they roll back, and open no gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deploy.verdict.readings import Reading
from deploy.verdict.spending import NOTHING_SPENT, Spending
from deploy.verdict.units import UnitPlan, Users, take_pods


@dataclass(frozen=True)
class UserErrors:
    """Errors by user, under a split that is sticky by user.

    Args:
        steps: Percent of both arms' users that are the canary's, by step.
        plan: Fixed before the start.
        new_salt: Each step assigns everybody anew.
        step: The step that the looks are at.
        users: After the looks so far.
        worse: The canary was found worse.
    """

    steps: tuple[float, ...]
    plan: UnitPlan
    new_salt: bool
    step: int = 0
    users: Users = field(default_factory=Users)
    worse: bool = False

    def take(self, look: tuple[Mapping[str, int], Mapping[str, int]]) -> "UserErrors":
        """Take in one look's errors by user, of the canary and of the champion."""
        users, worse = self.users.take(self.plan, self.steps[self.step] / 100, *look)
        return replace(self, users=users, worse=self.worse or worse)

    def next_step(self) -> "UserErrors":
        """Start the next step."""
        return replace(self, step=self.step + 1, users=self.users.next_step() if self.new_salt else self.users)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        sentence = f"{len(self.users.counted):,} users had errors; {_sum(self.users.spending)}"
        counts = {"users": len(self.users.counted)}
        return Reading(self.worse, None, sentence, statistic=_statistic(self.users.spending), counts=counts)


@dataclass(frozen=True)
class PodErrors:
    """Errors by pod, all pods of equal traffic and always in the same order.

    Args:
        plan: Fixed before the start.
        block: Looks whose errors are summed by pod before the pods are compared.
        spending: After the blocks so far.
        canary: Errors of this block, by pod of the canary.
        baseline: The same of the champion's pods.
        waiting: Looks in this block.
        looks: Looks with pods in both arms.
        worse: The canary was found worse.
    """

    plan: UnitPlan
    block: int = 1
    spending: Spending = NOTHING_SPENT
    canary: tuple[int, ...] = ()
    baseline: tuple[int, ...] = ()
    waiting: int = 0
    looks: int = 0
    worse: bool = False

    def take(self, look: tuple[Sequence[int], Sequence[int]]) -> "PodErrors":
        """Take in one look's errors by pod, of the canary and of the champion."""
        canary, baseline = look
        if not canary or not baseline:
            return self
        now = self
        if self.waiting and (len(canary), len(baseline)) != (len(self.canary), len(self.baseline)):
            now = self._compared()  # pods came or went: what was summed is of others
        if now.waiting:
            canary, baseline = _added(now.canary, canary), _added(now.baseline, baseline)
        now = replace(now, canary=tuple(canary), baseline=tuple(baseline), waiting=now.waiting + 1, looks=now.looks + 1)
        return now._compared() if now.waiting >= now.block else now

    def next_step(self) -> "PodErrors":
        """Start the next step, with another number of pods: what was summed is compared."""
        return self._compared() if self.waiting else self

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        counts = {"looks": self.looks}
        return Reading(self.worse, None, _sum(self.spending), statistic=_statistic(self.spending), counts=counts)

    def _compared(self) -> "PodErrors":
        spending, worse = take_pods(self.plan, self.spending, self.canary, self.baseline)
        return replace(self, spending=spending, canary=(), baseline=(), waiting=0, worse=self.worse or worse)


def _added(before: Sequence[int], now: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(before, now, strict=True)))


def _sum(spending: Spending) -> str:
    return f"{spending.found:,} of {spending.counted:,g} errors, cut at the cap, are the canary's."


def _statistic(spending: Spending) -> dict[str, float]:
    return {"found": spending.found, "of": spending.counted, "spent": spending.spent, "boundary": spending.boundary}
