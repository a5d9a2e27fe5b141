"""The rollout as a fold of its events: where it stands, and what traffic it asks for. Pure.

Every change is two events: an intent, and `done` once the gateway has confirmed it. A crash in between leaves an
intent, which the next tick makes true; so any tick may be repeated, and none does more than one step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from deploy.desired import Served
from deploy.shares import Challenger, Share
from deploy.verdict import Plan
from flywheel.errors import IntegrityError
from flywheel.events import Event, EventKind
from flywheel.rollbacks import FAILURES, Cause

ALPHA = 0.05


class Phase(StrEnum):
    """Where a rollout stands, what that means for traffic, and who may leave it."""

    STARTING = "starting"  # no traffic yet; left by the controller: healthy, or failed to start
    CANARY = "canary"  # some of the traffic; left by the verdict, by time, or by a newer approval
    HELD = "held"  # as CANARY, but asks a person; left by archiving it, by a newer approval, or by harm
    PROMOTING = "promoting"  # all of the traffic; left by the controller once confirmed
    DONE = "done"  # the champion; final
    ROLLING_BACK = "rolling back"  # no traffic any more; left by the controller once confirmed
    ROLLED_BACK = "rolled back"  # final


ACTIVE = frozenset({Phase.STARTING, Phase.CANARY, Phase.HELD, Phase.PROMOTING, Phase.ROLLING_BACK})


@dataclass(frozen=True)
class Rollout:
    """One attempt to bring a version into traffic, as its events tell it.

    Args:
        name: Unique; requests carry it in x-flywheel-rollout.
        new: The version that comes.
        old: The champion it starts against; None for the first version.
        plan: Steps and thresholds, fixed at the start.
        max_minutes: After that the rollout holds.
        phase: Where it stands.
        step: Index of the step in `plan.steps`; -1 before the first.
        confirmed: Whether the gateway has confirmed the last intent.
        started: When.
        cause: Why it was rolled back.
        reason: The sentence that goes with the last change.
        counters: The gateway's counters when the present step was confirmed.
        details: Body of the last event.
        rollback: Whether the new version was live before and people want it back: it takes all traffic at once.
        seq: Number of the event that started it.
    """

    name: str
    new: Served
    old: Served | None
    plan: Plan
    max_minutes: float
    phase: Phase
    started: datetime
    step: int = -1
    confirmed: bool = True
    cause: Cause | None = None
    reason: str = ""
    counters: Mapping[str, int] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    rollback: bool = False
    seq: int = 0

    @property
    def percent(self) -> int:
        """Percent of the requests that the new version should get now."""
        if self.phase in {Phase.PROMOTING, Phase.DONE}:
            return 100
        return self.plan.steps[self.step] if self.phase in {Phase.CANARY, Phase.HELD} and self.step >= 0 else 0

    @property
    def halted(self) -> Cause | None:
        """Why it will be rolled back as soon as the champion answers again; None when it is not waiting for that."""
        cause = self.details.get("halted") if self.phase is Phase.HELD else None
        return Cause(cause) if cause else None


@dataclass(frozen=True)
class History:
    """All rollouts of one use case, oldest first, and when (number of the event) it was last taken out of service."""

    usecase: str
    rollouts: tuple[Rollout, ...] = ()
    undeployed: int = 0

    @property
    def standing(self) -> tuple[Rollout, ...]:
        """The rollouts since the use case was last taken out of service."""
        return tuple(one for one in self.rollouts if one.seq >= self.undeployed)

    @property
    def current(self) -> Rollout | None:
        """The rollout that is under way."""
        last = self.standing[-1] if self.standing else None
        return last if last is not None and last.phase in ACTIVE else None

    @property
    def is_gone(self) -> bool:
        """Whether the use case was taken out of service and nothing has started since."""
        return self.undeployed > 0 and not self.standing

    @property
    def champion(self) -> Served | None:
        """The version of the last finished promotion."""
        return next((one.new for one in reversed(self.standing) if one.phase is Phase.DONE), None)

    @property
    def failed(self) -> set[str]:
        """Digests that never start again."""
        return {one.new.digest for one in self.rollouts if one.cause in FAILURES}

    def sentence(self, desired: Served | None, *, rollback: bool = False) -> str:
        """Say what a controller would do, given the version that people want, and whether they want it back."""
        live = f"version {self.champion.version} is live" if self.champion else "nothing is live"
        if self.current is not None:
            return f"{live}; version {self.current.new.version} is {self.current.phase} and would go on."
        if desired is None or desired == self.champion:
            return f"{live}; nothing to do."
        way = "through a canary" if self.champion and not rollback else "at once"
        return f"{live}; version {desired.version} would go live {way}."


def histories(events: Iterable[Event]) -> dict[str, History]:
    """Fold all rollout events into one history a use case.

    Raises:
        IntegrityError: An event is none that a controller writes, or belongs to a rollout that never started.
    """
    found: dict[str, dict[str, Rollout]] = {}
    undeployed: dict[str, int] = {}
    for event in events:
        if not str(event.kind).startswith("rollout."):
            continue
        if event.kind == EventKind.ROLLOUT_UNDEPLOYED:
            undeployed[event.subject.split("/")[0]] = event.seq
            continue
        rollouts = found.setdefault(event.subject.split("/")[0], {})
        try:
            name = str(event.body["rollout"])
            started = event.kind == EventKind.ROLLOUT_STARTED
            rollouts[name] = _started(event) if started else _applied(rollouts[name], event)
        except (KeyError, TypeError, ValueError) as fault:
            raise IntegrityError(
                f"Event {event.seq} ({event.kind} of {event.subject}) is none that a controller writes: {fault!r}. "
                "Traffic stays as it is; `flywheel audit log` shows who wrote it."
            ) from fault
    return {
        usecase: History(usecase, tuple(rollouts.values()), undeployed.get(usecase, 0))
        for usecase, rollouts in found.items()
    }


def intended(history: History) -> Share | None:
    """Return the traffic that the events ask for; None while nothing was ever promoted."""
    current, champion = history.current, history.champion
    if current is not None and current.phase is Phase.PROMOTING:
        return Share(current.new)
    if champion is None:
        return None
    if current is None or current.percent == 0:
        return Share(champion)
    return Share(champion, (Challenger(current.new, current.percent),), rollout=current.name)


def started_body(
    new: Served, old: Served | None, name: str, plan: Plan, max_minutes: float, *, rollback: bool = False
) -> dict[str, Any]:
    """Write the body of `rollout.started`."""
    return {
        "rollout": name,
        "version": new.version,
        "digest": new.digest,
        "champion": {"version": old.version, "digest": old.digest} if old else None,
        "steps": list(plan.steps),
        "margin": plan.margin,
        "alpha": plan.alpha,
        "max_minutes": max_minutes,
        **({"rollback": True} if rollback else {}),
    }


def _started(event: Event) -> Rollout:
    usecase, body = event.subject.split("/")[0], event.body
    old = body["champion"]
    return Rollout(
        name=str(body["rollout"]),
        new=Served(usecase, str(body["version"]), str(body["digest"])),
        old=Served(usecase, str(old["version"]), str(old["digest"])) if old else None,
        plan=Plan(tuple(body["steps"]), body["margin"], body["alpha"]),
        max_minutes=body["max_minutes"],
        phase=Phase.STARTING,
        started=event.at,
        details=body,
        rollback=body.get("rollback") is True,
        seq=event.seq,
    )


def _applied(rollout: Rollout, event: Event) -> Rollout:
    body, done = event.body, event.body.get("state") == "done"
    rollout = replace(rollout, confirmed=done, reason=str(body.get("reason", rollout.reason)), details=body)
    match event.kind:
        case EventKind.ROLLOUT_STEP:
            counters = body.get("counters") or None
            return replace(rollout, phase=Phase.CANARY, step=int(body["step"]), counters=counters)
        case EventKind.ROLLOUT_PROMOTED:
            return replace(rollout, phase=Phase.DONE if done else Phase.PROMOTING)
        case EventKind.ROLLOUT_ROLLED_BACK:
            phase = Phase.ROLLED_BACK if done else Phase.ROLLING_BACK
            return replace(rollout, phase=phase, cause=Cause(body["cause"]))
        case _:
            return replace(rollout, phase=Phase.HELD, confirmed=True)
