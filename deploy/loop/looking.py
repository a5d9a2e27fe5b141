"""Looks at one rollout: what was counted since the last one becomes a look of its verdict, and stays on record.

Flows in: counters by arm as the gateway has them, and what the prediction log says. Flows out: the verdict, and the
record of a step, which `flywheel verdict` judges to the same answer.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from deploy.loop.journal import Entry, Journal
from deploy.loop.plans import OUTAGE, RolloutPlan, arm_of, metric_name
from deploy.loop.rollout import Rollout
from deploy.loop.traces import Point, point, trace
from deploy.shares import CHALLENGER, CHAMPION, SHADOW, ArmCounts
from deploy.verdict import Call
from deploy.verdict.several import Judged, Judging, StepLook, judging
from deploy.verdict_file import record
from deploy.verdict_looks import KINDS, LookSpec
from deploy.verdict_plan import PlanSpec
from flywheel.errors import DataError, StackError, TransientError

Counters = Mapping[str, ArmCounts]
NO_COUNTS = ArmCounts()
# Looks grow rarer with a step's age: each second at first, each ten seconds until it is an hour old, and then with its
# age again, so that a day leaves about a thousand of them. What waits for people is looked at like that for weeks.
LOOK_SHARE, EARLY_SECONDS = 0.01, 10.0
LATE, LATE_SHARE, LONGEST_SECONDS = 3600.0, 0.005, 300.0
# Of all counters and cursors only the last are asked for. The others leave the journal once so much was added.
SPARE_BYTES = 100_000
# The first requests in traffic find a process that has done nothing yet: how long they took is nobody's latency.
WARM_REQUESTS = 100


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
        entries: All looks so far; counters and cursor of the last one only.
        judgings: By step's kind (shadow or not), after the looks so far.
        points: By step, what each look left behind.
        taken: When the last look was taken.
        size: Of the journal, in bytes, after it.
        thinned: The same when it was last thinned.
        trouble: Why the prediction log said nothing in it.
        answered: Requests in traffic that the new version was counted for so far.
    """

    rollout: str
    plan: RolloutPlan
    journal: Journal
    entries: list[Entry] = field(default_factory=list)
    judgings: dict[bool, Judging] = field(default_factory=dict)
    points: dict[int, list[Point]] = field(default_factory=dict)
    taken: datetime | None = None
    size: int = 0
    thinned: int = 0
    trouble: str = ""
    answered: int = 0

    @classmethod
    def resumed(cls, rollout: Rollout, journal: Journal) -> "Looking":
        """Take in again what the journal holds; a look that this plan cannot take ends it, as damage does."""
        looking = cls(rollout.name, rollout.plan, journal, size=journal.size(rollout.name))
        for entry in journal.read(rollout.name):
            try:
                looking._judge(entry)
            except (KeyError, ValueError):  # another release's look: what it and later ones counted is one more look
                break
            looking.taken = rollout.started + timedelta(seconds=entry.seconds)
        return looking

    @property
    def is_stale(self) -> bool:
        """Whether another controller has looked meanwhile, or the journal was lost."""
        return self.journal.size(self.rollout) != self.size

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

    def documents(self, step: int) -> list[Mapping[str, Any]]:
        """Return a step's looks as `flywheel verdict` reads them."""
        return [entry.look for entry in self.entries if entry.step == step]

    def trace(self, step: int) -> dict[str, Any]:
        """Return how a step's evidence grew, for pictures."""
        return trace(self.points.get(step, []))

    def worse(self, step: int) -> str | None:
        """Return the arm of an experiment in which harm was found at a step; None where none was."""
        judged_by = self.plan.judged_by(step)
        readings = self._judging(judged_by, step).judged.readings if judged_by is not None else {}
        return next((arm for name, reading in readings.items() if reading.worse and (arm := arm_of(name))), None)

    def closed(self, step: int, arm: str) -> str | None:
        """Say which gate of an experiment's arm is not open yet; None where all are."""
        judged_by = self.plan.judged_by(step)
        readings = self._judging(judged_by, step).judged.readings if judged_by is not None else {}
        shut = ((name, one) for name, one in readings.items() if arm_of(name) == arm and one.good is False)
        return next((f"{name}: more evidence is needed. {one.sentence}" for name, one in shut), None)

    def reference(self, arm: str | None = None) -> dict[str, dict[str, int]]:
        """Return what the version did in traffic: by metric its requests, and how many of them were bad.

        Args:
            arm: Of an experiment, the version's.
        """
        looks = [entry.look["metrics"] for entry in self.entries if self.plan.steps[entry.step]]
        found: dict[str, dict[str, int]] = {}
        for name, key in (("errors", "errors"), ("latency", "over_p99")):
            full = metric_name(name, arm)
            arms = [look[full]["canary"] for look in looks if full in look]
            if arms:
                found[name] = {"requests": sum(arm["requests"] for arm in arms), "bad": sum(arm[key] for arm in arms)}
        return found

    def losses(self, arm: str | None = None) -> list[float]:
        """Return the losses that the version had in traffic, in their order; `arm` as in `reference`."""
        name = metric_name("loss", arm)
        looks = [entry.look["metrics"].get(name, {}) for entry in self.entries if self.plan.steps[entry.step]]
        return [value for look in looks for value in look.get("canary", ())]

    def verdict(self, step: int) -> dict[str, Any]:
        """Return the verdict of a step's plan so far as plain JSON."""
        judged_by = self.plan.judged_by(step)
        return record(self._judging(judged_by, step).judged) if judged_by is not None else {}

    def _is_due(self, rollout: Rollout, now: datetime) -> bool:
        if self.taken is None:
            return True
        waited = (now - self.taken).total_seconds()
        return not 0 <= waited < pause((now - rollout.since).total_seconds())  # a clock may be set back

    def _take(self, rollout: Rollout, judged_by: PlanSpec, counters: Counters, evidence: Evidence | None) -> None:
        before = self._last(rollout.step)
        since = read_counters(before.counters if before is not None else rollout.counters or {})
        canary = CHALLENGER if self.plan.steps[rollout.step] else SHADOW
        counts = difference(counters, since)
        seconds = ((self.taken or rollout.since) - rollout.started).total_seconds()
        begin = before.seconds if before is not None else (rollout.since - rollout.started).total_seconds()
        metrics = counted(judged_by, counts, canary, max(seconds - begin, 0.0))
        if self.answered < WARM_REQUESTS:
            metrics = {name: one for name, one in metrics.items() if judged_by.metrics[name].kind != "latency"}
        said, cursor = self._said(evidence)
        metrics |= {name: one for name, one in said.items() if name in judged_by.metrics}
        if not metrics:
            return
        percent = judged_by.steps[self._index(rollout.step)]
        told = {arm: written(one) for arm, one in counters.items()}
        entry = Entry(rollout.step, {"step": percent, "metrics": metrics}, told, cursor, seconds)
        self._keep(rollout, entry)
        self._judge(entry)
        self._thin()

    def _said(self, evidence: Evidence | None) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Return what the prediction log says; while it cannot be read, or must not be believed, nothing."""
        self.trouble = ""
        try:
            return evidence.since(self._cursor()) if evidence is not None else ({}, self._cursor())
        except (DataError, StackError) as fault:
            self.trouble = str(fault)
            return {}, self._cursor()

    def _keep(self, rollout: Rollout, entry: Entry) -> None:
        """Keep a look before it counts. On a full disk only one that ends harm may count without."""
        try:
            self.journal.begin(self.rollout, header(rollout))
            self.journal.append(self.rollout, entry)
        except TransientError:
            if self._after(entry)[1].call is not Call.ROLL_BACK:
                raise
        self.size = self.journal.size(self.rollout)

    def _thin(self) -> None:
        """Write the journal as the looks are in memory, once what is asked for no more has grown large."""
        if self.size - self.thinned < SPARE_BYTES:
            return
        with suppress(TransientError):  # a disk without room: what is there is whole
            self.journal.replace(self.rollout, self.entries)
        self.size = self.thinned = self.journal.size(self.rollout)

    def _judge(self, entry: Entry) -> None:
        if self.plan.judged_by(entry.step) is not None:
            self.judgings[self.plan.steps[entry.step] == 0], judged = self._after(entry)
            self.points.setdefault(entry.step, []).append(point(entry.seconds, judged))
            if self.entries:  # only the last one's are asked for: they are 20 kB, and a rollout may look for weeks
                self.entries[-1] = replace(self.entries[-1], counters={}, cursor={})
            self.answered += _answered(entry) if self.plan.steps[entry.step] else 0
            self.entries.append(entry)

    def _after(self, entry: Entry) -> tuple[Judging, Judged]:
        """Return what an entry would lead to; its step must have a plan."""
        judged_by = self.plan.judged_by(entry.step)
        if judged_by is None:
            raise ValueError(f"step {entry.step} of {self.rollout} has nothing that it is judged by")
        metrics = LookSpec.model_validate(entry.look).metrics
        taken = {name: KINDS[judged_by.metrics[name].kind].model_validate(one).taken() for name, one in metrics.items()}
        return self._judging(judged_by, entry.step).take(StepLook(self._index(entry.step), taken))

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


def pause(age: float) -> float:
    """Return the seconds between two looks at a step that is `age` seconds old."""
    if age < LATE:
        return min(max(age, 0.0) * LOOK_SHARE, EARLY_SECONDS)
    return min(age * LATE_SHARE, LONGEST_SECONDS)


def _answered(entry: Entry) -> int:
    """Return the requests of new versions in a look; of an experiment each arm has a metric of its own."""
    metrics: Mapping[str, Any] = entry.look["metrics"]
    return sum(one["canary"]["requests"] for name, one in metrics.items() if name.split()[0] == "errors")


def header(rollout: Rollout) -> dict[str, Any]:
    """Return what a rollout is, as plain JSON values: enough to go on looking, and to go back."""
    versions = {"new": rollout.new, "old": rollout.old}
    told: dict[str, Any] = {name: vars(one) for name, one in versions.items() if one is not None}
    told |= {"others": [vars(one) for one in rollout.others]} if rollout.others else {}
    times = {"started": rollout.started.isoformat(), "since": rollout.since.isoformat()}
    step = {"step": rollout.step, "counters": rollout.counters}
    return {**told, **times, **step, "plan": rollout.plan.to_json(), "seq": rollout.seq}


def counted(plan: PlanSpec, counts: Counters, arm: str, seconds: float) -> dict[str, Any]:
    """Return what the gateway's counts say to the metrics of a plan that go by them; nothing without any request.

    Args:
        plan: Of the step.
        counts: By arm, since the last look.
        arm: Whose metrics those are that name none.
        seconds: Since the last look.
    """
    arms = {name: arm_of(name) or arm for name in plan.metrics}
    baseline = counts.get(CHAMPION, NO_COUNTS)
    if sum(counts.get(one, NO_COUNTS).requests for one in {CHAMPION, *arms.values()}) == 0:
        return {}
    found: dict[str, Any] = {}
    for name, metric in plan.metrics.items():
        canary = counts.get(arms[name], NO_COUNTS)
        if metric.kind == "errors":
            found[name] = {"canary": _errors(canary), "baseline": _errors(baseline)}
        if metric.kind == "latency":
            bounds = (metric.seconds.p90, metric.seconds.p99)
            slow = {"canary": _slow(canary, bounds), "baseline": _slow(baseline, bounds)}
            found[name] = {**slow, "seconds": round(seconds, 3)}
        if name.split()[0] == OUTAGE and canary.requests and baseline.requests:
            found[name] = {"differences": [canary.errors / canary.requests - baseline.errors / baseline.requests]}
    return found


def difference(now: Counters, before: Counters) -> dict[str, ArmCounts]:
    """Subtract counters.

    All of them began anew where the gateway did, also those that have outgrown what they were since; one arm alone
    where it went back, because its cluster was made anew.
    """
    lives = {one.epoch for one in (*now.values(), *before.values())} - {""}
    since = before if len(lives) < 2 else {}
    return {arm: _since(one, since.get(arm, NO_COUNTS)) for arm, one in now.items()}


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


def read_counters(counters: Mapping[str, Any]) -> dict[str, ArmCounts]:
    """Read what `written` wrote, by arm, or what steps recorded that knew errors only."""
    if "canary_requests" in counters:
        old = {CHALLENGER: "canary", CHAMPION: "baseline"}
        return {arm: ArmCounts(counters[f"{name}_requests"], counters[f"{name}_errors"]) for arm, name in old.items()}
    return {
        arm: ArmCounts(
            one["requests"],
            one["errors"],
            {float(bound): count for bound, count in one["slow"].items()},
            one.get("epoch", ""),
        )
        for arm, one in counters.items()
    }
