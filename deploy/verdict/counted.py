"""Metrics that count requests: errors, which also open gates, and requests over the champion's latency."""

from dataclasses import dataclass, replace

from deploy.verdict import promotion
from deploy.verdict.exceedance import Exceedance, Level, Slow
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
    pending: Look = NOTHING
    fed: bool = False
    worse: bool = False

    @property
    def share(self) -> float:
        """The canary's share of the requests (0 to 1)."""
        return self.steps[self.step] / 100

    def take(self, look: Look) -> "Errors":
        """Take in one look's counts."""
        look = self.pending.plus(look)
        if look.canary_requests == 0 or look.baseline_requests == 0:
            return replace(self, pending=look, fed=False)
        guard, worse = self.guard.take(
            look.canary_errors,
            look.baseline_errors,
            self.share,
            alpha=self.alpha,
            planned=self.planned,
        )
        gate = self.gate.plus(look)
        return replace(self, guard=guard, gate=gate, pending=NOTHING, fed=True, worse=self.worse or worse)

    def next_step(self) -> "Errors":
        """Start the next step with a new gate."""
        return replace(self, step=self.step + 1, gate=NOTHING, pending=NOTHING, fed=False)

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        gate, evidence = self.gate, promotion.evidence(self.gate, self.share, self.margin)
        return Reading(
            worse=self.worse,
            good=evidence >= 1 / self.gate_alpha and self.fed,
            sentence=f"{gate.canary_errors} of {gate.canary_requests:,} requests to the canary failed,"
            f" {gate.baseline_errors} of {gate.baseline_requests:,} to the champion.",
            statistic={**_statistic(self.guard), "evidence": evidence, "threshold": 1 / self.gate_alpha},
            interval={
                "ratio of error rates": ratio_interval(
                    gate.canary_errors, gate.baseline_errors, self.share, self.gate_alpha
                )
            },
            counts=dict(vars(gate)),
        )


@dataclass(frozen=True)
class Latency:
    """Requests slower than the champion's thresholds; it rolls back, and opens no gate.

    Args:
        steps: Percent of requests that go to the canary, by step.
        levels: Thresholds, fixed before the start.
        alpha: The metric's part of the plan's α.
        step: The step that the looks are at.
        exceedance: One guard a level, over all steps.
        slow: Slow requests of this step, by level.
        worse: The canary was found slower.
    """

    steps: tuple[int, ...]
    levels: tuple[Level, ...]
    alpha: float
    exceedance: Exceedance
    slow: Slow
    step: int = 0
    worse: bool = False

    def take(self, look: Slow) -> "Latency":
        """Take in one look's slow requests, by level."""
        exceedance, worse = self.exceedance.take(self.levels, look, self.steps, step=self.step, alpha=self.alpha)
        return replace(self, exceedance=exceedance, slow=self.slow.plus(look), worse=self.worse or worse)

    def next_step(self) -> "Latency":
        """Start the next step: the interval is of its counts alone."""
        nothing = (0,) * len(self.levels)
        return replace(self, step=self.step + 1, slow=Slow(nothing, nothing))

    def reading(self) -> Reading:
        """Say what the looks so far show."""
        statistic, interval, counts = dict[str, float](), dict[str, tuple[float, float]](), dict[str, float]()
        for index, level in enumerate(self.levels):
            over = f"over {level.seconds:g} s"
            canary, baseline = self.slow.canary[index], self.slow.baseline[index]
            found = _statistic(self.exceedance.guards[index])
            statistic |= {f"{over}: {name}": value for name, value in found.items()}
            alpha, share = self.alpha * level.part, self.steps[self.step] / 100
            interval[f"ratio of requests {over}"] = ratio_interval(canary, baseline, share, alpha)
            counts |= {f"canary {over}": canary, f"baseline {over}": baseline}
        sentence = f"{self.slow.canary} requests to the canary took longer than {self._seconds()}, {self.slow.baseline}"
        sentence = f"{sentence} to the champion."
        return Reading(self.worse, None, sentence, statistic=statistic, interval=interval, counts=counts)

    def _seconds(self) -> str:
        return " and ".join(f"{level.seconds:g} s" for level in self.levels)


def _statistic(guard: Guard) -> dict[str, float]:
    found = {"found": guard.spending.found, "of": guard.spending.counted}
    return {**found, "spent": guard.spending.spent, "hedge": guard.hedge}
