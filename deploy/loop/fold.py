"""The fold of a use case's events into its rollouts. Pure.

Every change is two events: an intent, and `done` once the gateway has confirmed it. A crash in between leaves an
intent, which the next tick makes true; so any tick may be repeated, and none does more than one step. What people say
of a rollout (pause, resume, let it go on) are events of their own, and change nothing else.
"""

from collections.abc import Iterable
from dataclasses import replace

from deploy.desired import Served
from deploy.loop.plans import RolloutPlan
from deploy.loop.rollout import History, Phase, Rollout
from flywheel.errors import IntegrityError
from flywheel.events import Event, EventKind
from flywheel.rollbacks import FAILURES, Cause


def histories(events: Iterable[Event]) -> dict[str, History]:
    """Fold all rollout events into one history a use case.

    A history ends at the first event that cannot be read: that use case alone is damaged, until people take it out of
    service, with which it begins anew.
    """
    found: dict[str, dict[str, Rollout]] = {}
    undeployed: dict[str, int] = {}
    damaged: dict[str, str] = {}
    for event in (one for one in events if str(one.kind).startswith("rollout.")):
        usecase = event.subject.split("/")[0]
        rollouts = found.setdefault(usecase, {})
        if event.kind == EventKind.ROLLOUT_UNDEPLOYED:
            undeployed[usecase] = event.seq
            damaged.pop(usecase, None)
        elif usecase not in damaged:
            try:
                _fold(rollouts, event)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
                damaged[usecase] = _damage(event, fault)
    return {
        usecase: History(usecase, tuple(rollouts.values()), undeployed.get(usecase, 0), damaged.get(usecase))
        for usecase, rollouts in found.items()
    }


def history_of(events: Iterable[Event], usecase: str) -> History:
    """Return the history of one use case.

    Raises:
        IntegrityError: One of its events cannot be read.
    """
    history = histories(events).get(usecase, History(usecase))
    if history.damage is not None:
        raise IntegrityError(history.damage)
    return history


def _fold(rollouts: dict[str, Rollout], event: Event) -> None:
    name, started = str(event.body["rollout"]), event.kind == EventKind.ROLLOUT_STARTED
    rollouts[name] = _started(event) if started else _applied(rollouts[name], event)


def _damage(event: Event, fault: Exception) -> str:
    usecase, what = event.subject.split("/")[0], " ".join(f"{type(fault).__name__}: {fault}".split())
    return (
        f"Event {event.seq} ({event.kind} of {event.subject}) is none that this release can read ({what[:200]}). "
        f"Traffic of {usecase} stays as it is: run the release that wrote it, or begin anew with "
        f"`flywheel undeploy {usecase}`; `flywheel audit log` shows who wrote it."
    )


def _started(event: Event) -> Rollout:
    usecase, body = event.subject.split("/")[0], event.body
    old, others = body["champion"], body.get("others", ())
    plan = RolloutPlan.from_json(body)
    if len(plan.arms or (0,)) != 1 + len(others):
        raise ValueError(f"{1 + len(others)} versions and {len(plan.arms)} shares")
    return Rollout(
        name=str(body["rollout"]),
        new=Served(usecase, str(body["version"]), str(body["digest"])),
        old=Served(usecase, str(old["version"]), str(old["digest"])) if old else None,
        plan=plan,
        phase=Phase.STARTING,
        started=event.at,
        since=event.at,
        asked=event.at,
        details=body,
        rollback=body.get("rollback") is True,
        seq=event.seq,
        others=tuple(Served(usecase, str(one["version"]), str(one["digest"])) for one in others),
    )


def _applied(rollout: Rollout, event: Event) -> Rollout:
    said = _said(rollout, event)
    if said is not None:
        return said
    body, done = event.body, event.body.get("state") == "done"
    since = event.at if done else rollout.since
    reason = str(body.get("reason", rollout.reason))
    rollout = replace(rollout, confirmed=done, reason=reason, details=body, since=since)
    match event.kind:
        case EventKind.ROLLOUT_STEP:
            step, counters = int(body["step"]), body.get("counters") or None
            phase = Phase.CANARY if rollout.plan.steps[step] else Phase.SHADOW
            return replace(rollout, phase=phase, step=step, counters=counters, allowed=False)
        case EventKind.ROLLOUT_PROMOTED:
            after = Phase.BAKING if rollout.bakes else Phase.DONE
            reference = body.get("reference", rollout.reference)
            rollout = _won(rollout, event)
            return replace(rollout, phase=after if done else Phase.PROMOTING, allowed=False, reference=reference)
        case EventKind.ROLLOUT_BAKED:
            return replace(rollout, phase=Phase.DONE, confirmed=True)
        case EventKind.ROLLOUT_ROLLED_BACK:
            phase = Phase.ROLLED_BACK if done else Phase.ROLLING_BACK
            cause = Cause(body["cause"])
            harmed = _named(rollout, event) if cause in FAILURES else None
            return replace(rollout, phase=phase, cause=cause, harmed=harmed)
        case EventKind.ROLLOUT_HELD:
            return replace(rollout, phase=Phase.HELD, confirmed=True)
        case _:
            raise ValueError(f"{event.kind} is not known")


def _won(rollout: Rollout, event: Event) -> Rollout:
    """Make the version that the event is of the one that comes: of an experiment any of them may have won."""
    winner = _named(rollout, event)
    if winner is None:
        return rollout
    return replace(rollout, new=winner, others=tuple(one for one in rollout.versions if one != winner))


def _named(rollout: Rollout, event: Event) -> Served | None:
    return rollout.named(event.subject.partition("/")[2]) if rollout.is_experiment else None


def _said(rollout: Rollout, event: Event) -> Rollout | None:
    """Apply what was said of a rollout without changing traffic; None for a step of the controller."""
    match event.kind:
        case EventKind.ROLLOUT_TURNED_BAD:
            return replace(rollout, turned=str(event.body["reason"]))
        case EventKind.ROLLOUT_WARNED:
            return replace(rollout, told=rollout.told | {str(event.body["metric"])})
        case EventKind.ROLLOUT_PAUSED:
            return replace(rollout, paused=f"{event.actor}: {event.body['reason']}")
        case EventKind.ROLLOUT_RESUMED:
            return replace(rollout, paused=None, asked=event.at)
        case EventKind.ROLLOUT_ALLOWED:
            return replace(rollout, allowed=True, paused=None, asked=event.at)
        case _:
            return None
