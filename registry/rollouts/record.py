"""A rollout as its record tells it: a fold of the events that the controller and people write. Pure.

The controller folds the same events to act by them; here is what people need to see and to speak. That both agree on
every history, tests/contracts holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from flywheel.errors import IntegrityError
from flywheel.events import Event, EventKind
from flywheel.rollbacks import Cause
from registry.rollouts.plan import Plan, read_plan


class Phase(StrEnum):
    """Where a rollout stands; the words are the controller's."""

    STARTING = "starting"  # no traffic yet
    SHADOW = "shadow"  # copies of the champion's requests
    CANARY = "canary"  # some of the traffic
    HELD = "held"  # as before, but asks people
    PROMOTING = "promoting"  # all of the traffic, once the gateway confirms it
    BAKING = "baking"  # the champion, with the old version still warm
    DONE = "done"  # the champion
    ROLLING_BACK = "rolling back"  # no traffic, once the gateway confirms it
    ROLLED_BACK = "rolled back"  # final


OVER = frozenset({Phase.DONE, Phase.ROLLED_BACK})
# It may still go on or not: what people say of it counts.
OPEN = frozenset({Phase.STARTING, Phase.SHADOW, Phase.CANARY, Phase.HELD})
LIVE = frozenset({Phase.BAKING, Phase.DONE})
TAKEN_OVER = LIVE | {Phase.PROMOTING}
COMPARED = frozenset({Phase.SHADOW, Phase.CANARY, Phase.HELD})
# What is found of a version long after it took over.
AFTERWARDS = frozenset({EventKind.ROLLOUT_TURNED_BAD, EventKind.ROLLOUT_WARNED})
SAID = frozenset({EventKind.ROLLOUT_PAUSED, EventKind.ROLLOUT_RESUMED, EventKind.ROLLOUT_ALLOWED})


@dataclass(frozen=True)
class Version:
    """A version, pinned to its bytes."""

    number: str
    digest: str


@dataclass(frozen=True)
class Moment:
    """What was so after an event.

    Args:
        event: That event.
        phase: After it.
        step: Index of the plan's step, after it; -1 before the first.
        percent: Of the requests that the new version should answer, after it.
        step_before: Index of the step that the event's looks are of.
    """

    event: Event
    phase: Phase
    step: int
    percent: int
    step_before: int


@dataclass(frozen=True)
class Record:
    """One rollout.

    Args:
        name: Its name; unique.
        model: Its use case.
        new: The version that comes.
        old: The champion it started against; None for the first version.
        plan: Fixed at the start.
        started: When.
        phase: Where it stands.
        step: Index of the step in `plan.steps`; -1 before the first.
        confirmed: Whether the gateway has confirmed the last change.
        paused: Who paused it and why; None while it goes on.
        allowed: Whether people let it go on from this step.
        rollback: Whether people wanted a former champion back, which takes all traffic at once.
        cause: Why it was rolled back, in a word.
        reason: The sentence that goes with the last change.
        gone: The use case was taken out of service while it was under way, or later.
        replaced: Number of the version that is live since instead of the one that took over here; None while none is.
        stopped: Of an experiment that ended without a winner, whether people ended it, and not its measure.
        withdrawn: The event by which a person took a version of it out of Production, which ended it.
        seq: Number of the event that started it.
        others: Of an experiment, the further challengers; once one of all has won, the ones that have not.
        moments: All its events so far, oldest first.
    """

    name: str
    model: str
    new: Version
    old: Version | None
    plan: Plan
    started: datetime
    phase: Phase = Phase.STARTING
    step: int = -1
    confirmed: bool = True
    paused: str | None = None
    allowed: bool = False
    rollback: bool = False
    cause: str | None = None
    reason: str = ""
    gone: bool = False
    replaced: str | None = None
    stopped: bool = False
    withdrawn: Event | None = None
    seq: int = 0
    others: tuple[Version, ...] = ()
    moments: tuple[Moment, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """What comes, as a part of a sentence: of an experiment all its versions, until one of them has won."""
        numbers = ", ".join(one.number for one in (self.new, *self.others))
        several = self.others and self.phase not in TAKEN_OVER
        return f"versions {numbers}" if several else f"version {self.new.number}"

    @property
    def percent(self) -> int:
        """Percent of the requests that the new version should answer now."""
        if self.phase in TAKEN_OVER:
            return 100
        return self.plan.steps[self.step] if self.phase in COMPARED and self.step >= 0 else 0

    @property
    def is_under_way(self) -> bool:
        """Whether the controller still works on it."""
        return self.phase not in OVER and not self.gone

    @property
    def grows(self) -> bool:
        """Whether there are looks that stand on no record yet."""
        return self.is_under_way and self.phase in COMPARED

    @property
    def bakes(self) -> bool:
        """Whether the old version stays warm for a while after the last step."""
        return self.old is not None and not self.rollback and self.plan.way.bake.total_seconds() > 0

    @property
    def ended(self) -> datetime | None:
        """When it was over; None while it is not."""
        if self.is_under_way:
            return None
        return next(one.event.at for one in reversed(self.moments) if one.event.kind not in AFTERWARDS)


def records(events: Iterable[Event]) -> list[Record]:
    """Fold one model's rollout events, in order, into its rollouts, oldest first; others are passed over.

    Raises:
        IntegrityError: An event is none that a controller or a person writes.
    """
    found: dict[str, Record] = {}
    for event in events:
        if event.kind == EventKind.ROLLOUT_UNDEPLOYED:
            found = {name: replace(one, gone=True) for name, one in _replaced(found).items()}
        elif str(event.kind).startswith("rollout."):
            try:
                name = str(event.body["rollout"])
                found[name] = _after(found.get(name), event)
            except (KeyError, TypeError, ValueError, IndexError) as fault:
                raise IntegrityError(
                    f"Event {event.seq} ({event.kind} of {event.subject}) tells of no rollout: {fault!r}. "
                    "`flywheel audit log` shows who wrote it."
                ) from fault
    return list(_replaced(found).values())


def under_way(found: Iterable[Record]) -> Record | None:
    """Return the rollout that is under way, the newest of them; None without one."""
    return next((one for one in reversed(list(found)) if one.is_under_way), None)


def _replaced(found: Mapping[str, Record]) -> dict[str, Record]:
    """Say of each that took over which later one did as well; what was live before the last undeployment stays."""
    after = dict(found)
    newer: str | None = None
    for name, one in reversed(list(found.items())):
        if one.phase in LIVE and not one.gone:
            after[name] = replace(one, replaced=newer)
            newer = one.new.number
    return after


def _after(before: Record | None, event: Event) -> Record:
    if event.kind == EventKind.ROLLOUT_STARTED:
        after = _started(event)
    elif before is None:
        raise ValueError("it never started")
    else:
        after = _said(before, event) if event.kind in SAID else _changed(before, event)
    step_before = before.step if before is not None else -1
    moment = Moment(event, after.phase, after.step, after.percent, step_before)
    return replace(after, moments=(*(before.moments if before is not None else ()), moment))


def _started(event: Event) -> Record:
    model, body = event.subject.split("/")[0], event.body
    old = body["champion"]
    return Record(
        name=str(body["rollout"]),
        model=model,
        new=Version(str(body["version"]), str(body["digest"])),
        old=Version(str(old["version"]), str(old["digest"])) if old else None,
        plan=read_plan(body),
        started=event.at,
        rollback=body.get("rollback") is True,
        seq=event.seq,
        others=tuple(Version(str(one["version"]), str(one["digest"])) for one in body.get("others", ())),
    )


def _won(record: Record, number: str) -> Record:
    """Make the version that the event is of the one that comes: of an experiment any of them may have won."""
    every = (record.new, *record.others)
    winner = next((one for one in every if one.number == number), record.new)
    return replace(record, new=winner, others=tuple(one for one in every if one != winner))


def _said(record: Record, event: Event) -> Record:
    if event.kind == EventKind.ROLLOUT_PAUSED:
        return replace(record, paused=f"{event.actor}: {event.body['reason']}")
    if event.kind == EventKind.ROLLOUT_RESUMED:
        return replace(record, paused=None)
    return replace(record, paused=None, allowed=True)


def _changed(record: Record, event: Event) -> Record:
    if event.kind in AFTERWARDS:  # it was over: another rollout brings back what was before
        return record
    body, done = event.body, event.body.get("state") == "done"
    record = replace(record, confirmed=done, reason=str(body.get("reason", record.reason)))
    match event.kind:
        case EventKind.ROLLOUT_STEP:
            step = int(body["step"])
            phase = Phase.CANARY if record.plan.steps[step] else Phase.SHADOW
            return replace(record, phase=phase, step=step, allowed=False)
        case EventKind.ROLLOUT_PROMOTED:
            after = Phase.BAKING if record.bakes else Phase.DONE
            record = _won(record, event.subject.partition("/")[2])
            return replace(record, phase=after if done else Phase.PROMOTING, allowed=False)
        case EventKind.ROLLOUT_BAKED:
            return replace(record, phase=Phase.DONE, confirmed=True)
        case EventKind.ROLLOUT_ROLLED_BACK:
            phase, cause = Phase.ROLLED_BACK if done else Phase.ROLLING_BACK, str(body["cause"])
            return replace(record, phase=phase, cause=cause, stopped=record.stopped if done else _is_stop(body))
        case EventKind.ROLLOUT_HELD:
            return replace(record, phase=Phase.HELD, confirmed=True)
        case _:
            raise ValueError(f"{event.kind} is not known")


def _is_stop(body: Mapping[str, Any]) -> bool:
    """Say whether people ended an experiment: where its measure did, that is the judgement on record."""
    judgement = body.get("experiment", {}).get("judgement", {})
    return str(body["cause"]) == Cause.NO_WINNER and str(judgement.get("call")) != "roll back"
