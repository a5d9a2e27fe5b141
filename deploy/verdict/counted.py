"""Metrics that count requests: errors, which also open gates, and requests over the champion's latency.

Both go by the requests that each arm was given, not by the share that the plan wanted: numbers from anywhere may be
split otherwise. Given the requests, the canary's part of all bad ones is hypergeometric; the binomial that the guard
carries is the wider of the two beyond the mean (Uhlmann, Metrika 10, 1966).
"""

import math
from dataclasses import dataclass, replace

from deploy.verdict import promotion
from deploy.verdict.exceedance import Exceedance, Level, Slow, fresh
from deploy.verdict.guards import Guard
from deploy.verdict.intervals import ratio_interval
from deploy.verdict.looks import NOTHING, Look
from deploy.verdict.readings import Reading


@dataclass(frozen=True)
class Errors:
    """The error rate.

    Args:
        steps: Percent of requests that go to the canary, by step.
        margin: Largest tolerated rise of the error rate, absolute (0 to 1).
        alpha: The guard's part of the plan's α.
        gate_alpha: The plan's whole α: all gates must open, so they need not share it.
        planned: Errors of both arms at which the guard may have spent its part.
        step: The step that the looks are at.
        guard: Over all steps.
        gate: Counts of this step.
        bets: Logarithms of the gate's bets.
        pending: Counts since the last look that had traffic in both arms.
        fed: The last look had traffic in both arms.
        worse: The canary was found worse.
    """

    steps: tuple[int, ...]
    margin: float
    alpha: float
    gate_alpha: float
    planned: float
    step: int = 0
    guard: Guard = Guard()  # noqa: RUF009 - frozen, and so are its parts
    gate: Look = NOTHING
    bets: tuple[float, ...] = promotion.NO_BETS
    pending: Look = NOTHING
    fed: bool = False
    worse: bool = False

    def take(self, look: Look) -> "Errors":
        """Take in one look's counts."""
        look = self.pending.plus(look)
        if not look.is_fed:
            return replace(self, pending=look, fed=False)
        guard, worse = self.guard.take(
            look.canary_errors,
            look.baseline_errors,
            look.share,
            alpha=self.alpha,
            planned=self.planned,
        )
        gate, bets = self.gate.plus(look), promotion.carry(self.bets, look, self.margin)
        worse = self.worse or worse
        return replace(self, guard=guard, gate=gate, bets=bets, pending=NOTHING, fed=True, worse=worse)

    def next_step(self) -> "Errors":
        """Start the next step with a new gate."""
        return replace(self, step=self.step + 1, gate=NOTHING, bets=promotion.NO_BETS, pending=NOTHING, fed=False)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        gate, evidence = self.gate, promotion.carried_evidence(self.bets)
        return Reading(
            worse=self.worse,
            good=evidence >= 1 / self.gate_alpha and self.fed,
            sentence=f"{gate.canary_errors} of {gate.canary_requests:,} requests to the canary failed,"
            f" {gate.baseline_errors} of {gate.baseline_requests:,} to the champion.",
            statistic={**_statistic(self.guard), "evidence": evidence, "threshold": 1 / self.gate_alpha},
            interval={"ratio of error rates": _ratio(gate, self.gate_alpha)},
            counts=dict(vars(gate)),
        )


@dataclass(frozen=True)
class SlowLook:
    """Requests of both arms, by level: those that took longer are the look's errors."""

    levels: tuple[Look, ...]

    @property
    def is_fed(self) -> bool:
        """Both arms had traffic."""
        return all(look.is_fed for look in self.levels)

    def plus(self, other: "SlowLook") -> "SlowLook":
        """Add two looks."""
        return SlowLook(tuple(one.plus(two) for one, two in zip(self.levels, other.levels, strict=True)))

    def slow(self) -> Slow:
        """Return the slow requests alone."""
        canary = tuple(look.canary_errors for look in self.levels)
        return Slow(canary, tuple(look.baseline_errors for look in self.levels))


@dataclass(frozen=True)
class Latency:
    """Requests slower than the champion's thresholds; it rolls back, and opens no gate.

    Args:
        steps: Percent of requests that go to the canary, by step.
        levels: Thresholds, fixed before the start.
        alpha: The metric's part of the plan's α.
        exceedance: One guard a level, over all steps.
        seen: Requests of this step.
        pending: Requests since the last look that had traffic in both arms.
        worse: The canary was found slower.
    """

    steps: tuple[int, ...]
    levels: tuple[Level, ...]
    alpha: float
    exceedance: Exceedance
    seen: SlowLook
    pending: SlowLook
    worse: bool = False

    def take(self, look: SlowLook) -> "Latency":
        """Take in one look's requests."""
        look = self.pending.plus(look)
        if not look.is_fed:
            return replace(self, pending=look)
        exceedance, worse = self.exceedance.take(
            self.levels, look.slow(), look.levels[0].share, steps=self.steps, alpha=self.alpha
        )
        seen, worse = self.seen.plus(look), self.worse or worse
        return replace(self, exceedance=exceedance, seen=seen, pending=self._nothing(), worse=worse)

    def next_step(self) -> "Latency":
        """Start the next step: the interval is of its counts alone."""
        return replace(self, seen=self._nothing(), pending=self._nothing())

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        statistic, interval, counts = dict[str, float](), dict[str, tuple[float, float]](), dict[str, float]()
        for level, look, guard in zip(self.levels, self.seen.levels, self.exceedance.guards, strict=True):
            over = f"over {level.seconds:g} s"
            statistic |= {f"{over}: {name}": value for name, value in _statistic(guard).items()}
            interval[f"ratio of requests {over}"] = _ratio(look, self.alpha * level.part)
            counts |= {f"canary {over}": look.canary_errors, f"baseline {over}": look.baseline_errors}
        pairs = zip(self.levels, self.seen.levels, strict=True)
        sentence = " ".join(_sentence(level, look) for level, look in pairs)
        return Reading(self.worse, None, sentence, statistic=statistic, interval=interval, counts=counts)

    def _nothing(self) -> SlowLook:
        return SlowLook((NOTHING,) * len(self.levels))


def latency(steps: tuple[int, ...], levels: tuple[Level, ...], alpha: float) -> Latency:
    """Return the metric before its first look."""
    nothing = SlowLook((NOTHING,) * len(levels))
    return Latency(steps, levels, alpha, fresh(levels), nothing, nothing)


def _sentence(level: Level, look: Look) -> str:
    canary = f"{look.canary_errors} of {look.canary_requests:,} requests to the canary took over {level.seconds:g} s"
    return f"{canary}, {look.baseline_errors} of {look.baseline_requests:,} to the champion."


def _ratio(look: Look, alpha: float) -> tuple[float, float]:
    if not look.is_fed:
        return 0.0, math.inf
    return ratio_interval(look.canary_errors, look.baseline_errors, look.share, alpha)


def _statistic(guard: Guard) -> dict[str, float]:
    found = {"found": guard.spending.found, "of": guard.spending.counted}
    spent = {"spent": guard.spending.spent, "boundary": guard.spending.boundary}
    return {**found, **spent, "hedge": guard.hedge}
