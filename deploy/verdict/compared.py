"""Metrics that compare series and distributions: levels roll back; what only differs is held or warned of."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deploy.verdict import shift
from deploy.verdict.readings import Reading
from deploy.verdict.shift import Shift
from deploy.verdict.signs import Dispersion, SignPlan, Signs


@dataclass(frozen=True)
class Series:
    """Values of two equal-size arms, minute by minute; larger is worse."""

    plan: SignPlan
    signs: Signs = field(default_factory=Signs)
    worse: bool = False

    def take(self, look: tuple[float, float]) -> "Series":
        """Take in one minute's values, of the canary and of the champion."""
        signs, worse = self.signs.take(self.plan, *look)
        return replace(self, signs=signs, worse=self.worse or worse)

    def next_step(self) -> "Series":
        """Start the next step: a sign is fair at any of them."""
        return self

    def reading(self) -> Reading:
        """Say what the minutes so far show."""
        guard = self.signs.guard
        higher, minutes = guard.spending.found, int(guard.spending.counted)
        sentence = f"The canary was higher in {higher} of {minutes} minutes in which the two differed."
        statistic = {"found": higher, "of": minutes, "spent": guard.spending.spent, "hedge": guard.hedge}
        return Reading(self.worse, None, sentence, statistic=statistic, counts={"minutes": minutes})


@dataclass(frozen=True)
class Spread:
    """Dispersion of two series: one that varies more or less is held, and people asked."""

    plan: SignPlan
    dispersion: Dispersion = field(default_factory=Dispersion)
    differs: bool = False

    def take(self, look: tuple[float, float]) -> "Spread":
        """Take in one minute's values, of the canary and of the champion."""
        dispersion, differs = self.dispersion.take(self.plan, *look)
        return replace(self, dispersion=dispersion, differs=self.differs or differs)

    def next_step(self) -> "Spread":
        """Start the next step: a sign is fair at any of them."""
        return self

    def reading(self) -> Reading:
        """Say what the minutes so far show."""
        spending = self.dispersion.more.spending
        farther, minutes = spending.found, int(spending.counted)
        sentence = f"The canary was farther from the median so far in {farther} of {minutes} minutes."
        statistic = {"found": farther, "of": minutes, "spent": spending.spent + self.dispersion.less.spending.spent}
        return Reading(False, None, sentence, self.differs, statistic, counts={"minutes": minutes})


@dataclass(frozen=True)
class Predictions:
    """Predictions by bin of the champion's; a shift is warned of, and held where the plan says so.

    Args:
        steps: Percent of requests that go to the canary, by step.
        alpha: Probability of a warning when nothing has shifted.
        holds: Nothing is promoted while a shift is seen.
        shift: After the looks so far.
        step: The step that the looks are at.
        seen: A shift was seen at some look.
    """

    steps: tuple[int, ...]
    alpha: float
    holds: bool
    shift: Shift
    step: int = 0
    seen: bool = False

    def take(self, look: tuple[Sequence[int], Sequence[int]]) -> "Predictions":
        """Take in one look's predictions by bin, of the canary and of the champion."""
        taken = self.shift.take(*look)
        return replace(self, shift=taken, seen=self.seen or taken.evidence(self._share) >= 1 / self.alpha)

    def next_step(self) -> "Predictions":
        """Start the next step."""
        return replace(self, step=self.step + 1, shift=self.shift.next_step(self._share))

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        evidence = self.shift.evidence(self._share)
        counts = {"canary": sum(self.shift.canary), "baseline": sum(self.shift.baseline)}
        sentence = "Warning: the canary predicts otherwise." if self.seen else "No shift of predictions is seen."
        statistic = {"evidence": evidence, "threshold": 1 / self.alpha}
        holds = self.seen and self.holds
        return Reading(False, None, sentence, holds=holds, statistic=statistic, counts=counts)

    @property
    def _share(self) -> float:
        return self.steps[self.step] / 100


def predictions(steps: tuple[int, ...], bins: int, alpha: float, *, holds: bool) -> Predictions:
    """Return the metric before its first look."""
    return Predictions(steps, alpha, holds, shift.fresh(bins))
