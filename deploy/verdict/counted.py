"""Metrics that count requests: errors, which also open gates, and requests over the champion's latency.

Both go by the requests that each arm was given, not by the share that the plan wanted: numbers from anywhere may be
split otherwise. Given the requests, the canary's part of all bad ones is hypergeometric; the binomial that the guard
carries is the wider of the two beyond the mean (Uhlmann, Metrika 10, 1966).
"""

import math
from dataclasses import dataclass, replace

from deploy.verdict.exceedance import Level, SlowLook, Slowness, fresh
from deploy.verdict.gates import CLOSED, Gate, Margin
from deploy.verdict.guards import Guard, hedge_threshold
from deploy.verdict.intervals import ratio_interval
from deploy.verdict.looks import NOTHING, Look
from deploy.verdict.readings import Reading
from deploy.verdict.schedule import Schedule


@dataclass(frozen=True)
class ErrorsPlan:
    """What is fixed before the start.

    Args:
        margins: What each step tolerates.
        alpha: The guard's part of the plan's α.
        gate_alpha: The plan's whole α: all gates must open, so they need not share it.
        schedule: How the guard spends its part.
        opens: It opens gates; else it only rolls back.
        least_requests: To the canary at a step before its gate opens.
        ceiling: Error rate of the canary above which no gate opens, however the champion does (0 to 1).
        rolls_back: It rolls back; else it only opens gates, as where users are the unit of harm.
    """

    margins: tuple[Margin, ...]
    alpha: float
    gate_alpha: float
    schedule: Schedule
    opens: bool = True
    least_requests: int = 1
    ceiling: float = 1.0
    rolls_back: bool = True


@dataclass(frozen=True)
class Errors:
    """The error rate.

    Args:
        plan: Fixed before the start.
        step: The step that the looks are at.
        guard: Over all steps.
        gate: Of this step.
        pending: Counts since the last look that had traffic in both arms.
        fed: The last look had traffic in both arms.
        worse: The canary was found worse.
    """

    plan: ErrorsPlan
    step: int = 0
    guard: Guard = Guard()  # noqa: RUF009 - frozen, and so are its parts
    gate: Gate = CLOSED
    pending: Look = NOTHING
    fed: bool = False
    worse: bool = False

    def take(self, look: Look) -> "Errors":
        """Take in one look's counts."""
        look = self.pending.plus(look)
        if not look.is_fed:
            return replace(self, pending=look, fed=False)
        guard, worse = self._guarded(look)
        gate, worse = self.gate.take(look, self._margin), self.worse or worse
        return replace(self, guard=guard, gate=gate, pending=NOTHING, fed=True, worse=worse)

    def _guarded(self, look: Look) -> tuple[Guard, bool]:
        if not self.plan.rolls_back:
            return self.guard, False
        return self.guard.take(
            look.canary_errors,
            look.baseline_errors,
            look.share,
            alpha=self.plan.alpha,
            schedule=self.plan.schedule,
            requests=look.requests,
        )

    def next_step(self) -> "Errors":
        """Start the next step with a new gate."""
        return replace(self, step=self.step + 1, gate=CLOSED, pending=NOTHING, fed=False)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        counts, evidence = self.gate.counts, self.gate.evidence(self._margin)
        threshold = 1 / self.plan.gate_alpha
        enough = self.fed and counts.canary_requests >= self.plan.least_requests
        # In an outage of both arms they are alike, which is no reason to go on.
        sound = counts.canary_errors <= self.plan.ceiling * counts.canary_requests
        return Reading(
            worse=self.worse,
            good=evidence >= threshold and enough and sound if self.plan.opens else None,
            sentence=f"{counts.canary_errors} of {counts.canary_requests:,} requests to the canary failed,"
            f" {counts.baseline_errors} of {counts.baseline_requests:,} to the champion.",
            statistic={**self._guarding(), "evidence": evidence, "threshold": threshold},
            interval={"ratio of error rates": _ratio(counts, self.plan.gate_alpha)},
            counts=dict(vars(counts)),
        )

    def _guarding(self) -> dict[str, float]:
        spending, plan = self.guard.spending, self.plan
        if not plan.rolls_back:
            return {}
        found = {"found": spending.found, "of": spending.counted, "spent": spending.spent}
        hedge = {"hedge": self.guard.hedge, "hedge_threshold": hedge_threshold(plan.alpha, plan.schedule)}
        return {**found, "boundary": spending.boundary, **hedge}

    @property
    def _margin(self) -> Margin:
        return self.plan.margins[self.step]


@dataclass(frozen=True)
class Latency:
    """Requests slower than the champion's thresholds; it rolls back, and opens no gate.

    Args:
        levels: Thresholds, fixed before the start.
        alpha: The metric's part of the plan's α.
        block: Seconds that are one piece of evidence, at least.
        slowness: What each level knows, over all steps.
        seen: Requests of this step.
    """

    levels: tuple[Level, ...]
    alpha: float
    block: float
    slowness: tuple[Slowness, ...]
    seen: SlowLook

    def take(self, look: SlowLook) -> "Latency":
        """Take in one look's requests."""
        slowness = tuple(
            known.take(level, counts, look.seconds, block=self.block, alpha=self.alpha)
            for known, level, counts in zip(self.slowness, self.levels, look.levels, strict=True)
        )
        return replace(self, slowness=slowness, seen=self.seen.plus(look))

    def next_step(self) -> "Latency":
        """Start the next step with a new block: another share of the requests is another block."""
        slowness = tuple(known.restarted() for known in self.slowness)
        return replace(self, slowness=slowness, seen=_nothing(self.levels))

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        statistic, interval, counts = dict[str, float](), dict[str, tuple[float, float]](), dict[str, float]()
        worse = False
        for level, look, known in zip(self.levels, self.seen.levels, self.slowness, strict=True):
            over, threshold = f"over {level.seconds:g} s", 1 / (self.alpha * level.part)
            statistic |= {f"evidence_worse {over}": known.evidence(level), f"threshold_worse {over}": threshold}
            interval[f"ratio of requests {over}"] = (known.low, math.inf)
            counts |= {f"canary {over}": look.canary_errors, f"baseline {over}": look.baseline_errors}
            counts[f"blocks {over}"] = known.blocks
            worse |= known.low >= level.tolerance
        pairs = zip(self.levels, self.seen.levels, strict=True)
        sentence = " ".join(_sentence(level, look) for level, look in pairs)
        return Reading(worse, None, sentence, statistic=statistic, interval=interval, counts=counts)


def latency(levels: tuple[Level, ...], alpha: float, *, block: float = 0.0) -> Latency:
    """Return the metric before its first look."""
    return Latency(levels, alpha, block, tuple(fresh(level) for level in levels), _nothing(levels))


def _nothing(levels: tuple[Level, ...]) -> SlowLook:
    return SlowLook((NOTHING,) * len(levels), 0.0)


def _sentence(level: Level, look: Look) -> str:
    canary = f"{look.canary_errors} of {look.canary_requests:,} requests to the canary took over {level.seconds:g} s"
    return f"{canary}, {look.baseline_errors} of {look.baseline_requests:,} to the champion."


def _ratio(look: Look, alpha: float) -> tuple[float, float]:
    if not look.is_fed:
        return 0.0, math.inf
    return ratio_interval(look.canary_errors, look.baseline_errors, look.share, alpha)
