"""Looks at one rollout: what was counted since the last one becomes a look of its verdict, and stays on record.

Flows in: counters by arm as the gateway has them, and what the prediction log says. Flows out: the verdict, and the
record of a step, which `flywheel verdict` judges to the same answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol

from deploy.journal import Entry, Journal
from deploy.plans import RolloutPlan
from deploy.rollout import Rollout
from deploy.shares import CHALLENGER, CHAMPION, SHADOW, ArmCounts
from deploy.verdict.several import Judged, Judging, StepLook, judging
from deploy.verdict_file import record
from deploy.verdict_looks import KINDS, LookSpec
from deploy.verdict_plan import PlanSpec

Counters = Mapping[str, ArmCounts]
NO_COUNTS = ArmCounts()
# Looks grow rarer with a step's age, so that a long one leaves hundreds of them and not thousands.
LOOK_SHARE, LONGEST_SECONDS = 0.01, 10.0


class Evidence(Protocol):
    """What the prediction log says of a rollout, metric by metric."""

    def since(self, cursor: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Return what came after a cursor, as documents of a look by metric, and the next cursor; {} is the first."""


@dataclass
class Looking:
    """The looks of one rollout, in memory as in the journal. Not for several threads.

    Args:
        rollout: Its name.
        plan: What it is judged by.
        journal: Where looks are kept.
        entries: All looks so far.
        judgings: By step's kind (shadow or not), after the looks so far.
        taken: When the last look was taken; None before one was.
        size: Bytes of the journal that are taken in.
    """

    rollout: str
    plan: RolloutPlan
    journal: Journal
    entries: list[Entry] = field(default_factory=list)
    judgings: dict[bool, Judging] = field(default_factory=dict)
    taken: datetime | None = None
    size: int = 0

    @classmethod
    def resumed(cls, rollout: Rollout, journal: Journal) -> "Looking":
        """Take in again what the journal holds."""
        looking = cls(rollout.name, rollout.plan, journal, size=journal.size(rollout.name))
        for entry in journal.read(rollout.name):
            looking._judge(entry)
        return looking

    def look(
        self, rollout: Rollout, now: datetime, count: Callable[[], Counters], evidence: Evidence | None
    ) -> Judged | None:
        """Take a look unless the last one is too young; return the verdict so far, None where there is no plan.

        Args:
            rollout: As its events tell it now, in a step that the gateway has confirmed.
            now: The time.
            count: Asks the gateway for its counters by arm.
            evidence: Of the prediction log.
        """
        judged_by = self.plan.judged_by(rollout.step)
        if judged_by is None:
            return None
        last = self._last(rollout.step)
        if last is None or self._is_due(rollout, now):
            self.taken = now
            self._take(rollout, judged_by, count(), evidence)
        return self._judging(judged_by, rollout.step).judged

    @property
    def is_behind(self) -> bool:
        """Whether another controller has taken looks since, as one does that leads while this one is cut off."""
        return self.journal.size(self.rollout) > self.size

    def documents(self, step: int) -> list[Mapping[str, Any]]:
        """Return a step's looks as `flywheel verdict` reads them."""
        return [entry.look for entry in self.entries if entry.step == step]

    def verdict(self, step: int) -> dict[str, Any]:
        """Return the verdict of a step's plan so far as plain JSON."""
        judged_by = self.plan.judged_by(step)
        return record(self._judging(judged_by, step).judged) if judged_by is not None else {}

    def _is_due(self, rollout: Rollout, now: datetime) -> bool:
        if self.taken is None:
            return True
        age = (now - rollout.since).total_seconds()
        return (now - self.taken).total_seconds() >= min(age * LOOK_SHARE, LONGEST_SECONDS)

    def _take(self, rollout: Rollout, judged_by: PlanSpec, counters: Counters, evidence: Evidence | None) -> None:
        before = self._last(rollout.step)
        since = _read(before.counters if before is not None else rollout.counters or {})
        canary = CHALLENGER if self.plan.steps[rollout.step] else SHADOW
        counts = difference(counters, since)
        metrics = counted(judged_by, counts.get(canary, NO_COUNTS), counts.get(CHAMPION, NO_COUNTS))
        said, cursor = evidence.since(self._cursor()) if evidence is not None else ({}, self._cursor())
        metrics |= {name: one for name, one in said.items() if name in judged_by.metrics}
        if not metrics:
            return
        percent = judged_by.steps[self._index(rollout.step)]
        told = {arm: written(one) for arm, one in counters.items()}
        entry = Entry(rollout.step, {"step": percent, "metrics": metrics}, told, cursor)
        self.journal.append(self.rollout, entry)
        self.size = self.journal.size(self.rollout)
        self._judge(entry)

    def _judge(self, entry: Entry) -> None:
        judged_by = self.plan.judged_by(entry.step)
        if judged_by is None:
            return
        look = LookSpec.model_validate(entry.look)
        taken = {
            name: KINDS[judged_by.metrics[name].kind].model_validate(one).taken() for name, one in look.metrics.items()
        }
        judging, _ = self._judging(judged_by, entry.step).take(StepLook(self._index(entry.step), taken))
        self.judgings[self.plan.steps[entry.step] == 0] = judging
        self.entries.append(entry)

    def _judging(self, judged_by: PlanSpec, step: int) -> Judging:
        found = self.judgings.get(self.plan.steps[step] == 0)
        return found if found is not None else judging(judged_by.build())

    def _index(self, step: int) -> int:
        """Return the number of a step in the plan of its own kind."""
        return 0 if self.plan.steps[step] == 0 else step - (self.plan.shadow is not None)

    def _last(self, step: int) -> Entry | None:
        return self.entries[-1] if self.entries and self.entries[-1].step == step else None

    def _cursor(self) -> Mapping[str, Any]:
        return self.entries[-1].cursor if self.entries else {}


def counted(plan: PlanSpec, canary: ArmCounts, baseline: ArmCounts) -> dict[str, Any]:
    """Return what the gateway's counts say to the metrics of a plan that go by them; nothing without any request."""
    if canary.requests + baseline.requests == 0:
        return {}
    found: dict[str, Any] = {}
    for name, metric in plan.metrics.items():
        if metric.kind == "errors":
            found[name] = {"canary": _errors(canary), "baseline": _errors(baseline)}
        if metric.kind == "latency":
            bounds = (metric.seconds.p90, metric.seconds.p99)
            found[name] = {"canary": _slow(canary, bounds), "baseline": _slow(baseline, bounds)}
    return found


def difference(now: Counters, before: Counters) -> dict[str, ArmCounts]:
    """Subtract counters; one that went back was started anew, because the gateway was."""
    return {arm: _since(one, before.get(arm, NO_COUNTS)) for arm, one in now.items()}


def _since(now: ArmCounts, before: ArmCounts) -> ArmCounts:
    if now.requests < before.requests:
        return now
    requests = now.requests - before.requests
    errors = min(max(now.errors - before.errors, 0), requests)
    slow = {bound: min(max(count - before.slow.get(bound, 0), 0), requests) for bound, count in now.slow.items()}
    return ArmCounts(requests, errors, slow)


def _errors(arm: ArmCounts) -> dict[str, int]:
    return {"requests": arm.requests, "errors": arm.errors}


def _slow(arm: ArmCounts, bounds: Sequence[float]) -> dict[str, int]:
    p90, p99 = (arm.slow.get(bound, 0) for bound in bounds)
    return {"requests": arm.requests, "over_p90": p90, "over_p99": min(p99, p90)}


def written(arm: ArmCounts) -> dict[str, Any]:
    """Return an arm's counters as plain JSON values."""
    return {**asdict(arm), "slow": {str(bound): count for bound, count in arm.slow.items()}}


def _read(counters: Mapping[str, Mapping[str, Any]]) -> dict[str, ArmCounts]:
    return {
        arm: ArmCounts(one["requests"], one["errors"], {float(bound): count for bound, count in one["slow"].items()})
        for arm, one in counters.items()
    }
