"""What one tick does about a rollout: guards in a fixed order, each of which may speak. Pure: nothing here does I/O.

Flows in: a rollout as its events tell it, and what the controller sees. Flows out: a Decision with its reason.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from deploy.desired import Served
from deploy.loop.rollout import COMPARED, OPEN, Phase, Rollout
from deploy.verdict import Call
from flywheel.rollbacks import FAILURES, Cause


class Action(StrEnum):
    """What one tick may do about a rollout."""

    WAIT = "wait"
    CONFIRM = "confirm"  # record that the last intent has come true
    ADVANCE = "advance"  # next step
    PROMOTE = "promote"
    FINISH = "finish"  # the old version need not stay warm any longer
    ROLL_BACK = "roll back"
    HOLD = "hold"


@dataclass(frozen=True)
class Decision:
    """One action with its reason; a roll-back has a cause.

    Args:
        action: What is done.
        reason: In words.
        cause: Of a roll-back.
        version: Of an experiment, which one takes over, or failed.
    """

    action: Action
    reason: str
    cause: Cause | None = None
    version: Served | None = None


@dataclass(frozen=True)
class Opinion:
    """What the evidence says.

    Args:
        call: In a word.
        reason: In a sentence.
        version: Of an experiment, which one it promotes, or finds harm in.
        cause: Of a roll-back.
        asks: Looking on will not help: a person has to decide.
    """

    call: Call
    reason: str
    version: Served | None = None
    cause: Cause = Cause.VERDICT
    asks: bool = False


@dataclass(frozen=True)
class Observed:
    """What the controller sees at one tick.

    Args:
        desired: The version that people want now.
        in_force: The gateway has confirmed the intended traffic.
        ready: The new version answers.
        healthy: Versions that the gateway finds healthy.
        now: The time.
        failure: Why the new version cannot start, when it cannot.
        silent_too_long: The new version has not been healthy for longer than is tolerated.
        verdict: Of the last look at this step; while it bakes, of the watch over what is live.
        rollback: `desired` was live before, and people want it back.
        approved: All versions that people let go live.
        failing: Of an experiment, the version that the failure or the silence is of.
        cause: Of a failure to start.
    """

    desired: Served | None
    in_force: bool
    ready: bool
    healthy: frozenset[str]
    now: datetime
    failure: str | None = None
    silent_too_long: bool = False
    verdict: Opinion | None = None
    rollback: bool = False
    approved: frozenset[Served] = frozenset()
    failing: Served | None = None
    cause: Cause = Cause.START


def decide(rollout: Rollout, seen: Observed) -> Decision:
    """Choose what one tick does; say as well what waits for the end of an experiment."""
    decision = _decided(rollout, seen)
    waiting = seen.desired if rollout.is_experiment and rollout.phase in OPEN else None
    if decision.action is not Action.WAIT or waiting is None or waiting in {rollout.old, *rollout.versions}:
        return decision
    return replace(decision, reason=f"{decision.reason} Version {waiting.version} waits until the experiment is over.")


def _decided(rollout: Rollout, seen: Observed) -> Decision:
    """Return what the first guard says that speaks, in this order."""
    for guard in (
        _unwanted,
        _never_there,
        _broken,
        _not_there_yet,
        _arrived,
        _bakes,
        _paused,
        _waits_for_people,
        _next,
        _asks,
        _out_of_time,
    ):
        decision = guard(rollout, seen)
        if decision is not None:
            return decision
    return Decision(Action.WAIT, seen.verdict.reason if seen.verdict else "No look has been taken at this step yet.")


def _unwanted(rollout: Rollout, seen: Observed) -> Decision | None:
    taking_over = rollout.phase in {Phase.PROMOTING, Phase.BAKING}
    if taking_over and seen.rollback and seen.desired != rollout.new:
        # Finishing it would archive the champion, which may be the very version that people have gone back to.
        reason = "People went back while it took over."
        return Decision(Action.ROLL_BACK, reason, Cause.WITHDRAWN)
    if rollout.phase is Phase.BAKING and rollout.old is not None and seen.desired == rollout.old:
        reason = f"Version {rollout.new.version} was taken out of Production while version {rollout.old.version} waits."
        return Decision(Action.ROLL_BACK, reason, Cause.WITHDRAWN)
    if rollout.phase in OPEN and rollout.is_experiment:
        return _withdrawn(rollout, seen)
    # A first version that answered once and never again takes nothing over, and nothing comes back for it.
    stuck = rollout.phase is Phase.PROMOTING and rollout.old is None and not seen.in_force
    if not (stuck or rollout.phase in OPEN) or seen.desired == rollout.new:
        return None
    newer = seen.desired is not None and seen.desired != rollout.old
    if newer and seen.desired is not None:
        reason = f"Version {seen.desired.version} was approved meanwhile and takes this rollout's place."
        return _back(rollout, seen, reason, Cause.SUPERSEDED)
    reason = f"Version {rollout.new.version} is not in Production any more."
    return _back(rollout, seen, reason, Cause.WITHDRAWN)


def _withdrawn(rollout: Rollout, seen: Observed) -> Decision | None:
    """End an experiment when people take one of its versions back; a version that is not in it just waits."""
    gone = next((one for one in rollout.versions if one not in seen.approved), None)
    if gone is None:
        return None
    reason = f"Version {gone.version} is not in Production any more, which ends the experiment."
    return _back(rollout, seen, reason, Cause.WITHDRAWN)


def _never_there(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is Phase.STARTING and seen.failure:
        return Decision(Action.ROLL_BACK, seen.failure, seen.cause, seen.failing)
    if rollout.phase is not Phase.PROMOTING or rollout.old is None:
        return None
    if seen.verdict is not None and seen.verdict.call is Call.ROLL_BACK:  # found while nothing could be recorded
        return Decision(Action.ROLL_BACK, seen.verdict.reason, Cause.VERDICT, seen.verdict.version)
    if not seen.in_force and seen.silent_too_long:
        return Decision(Action.ROLL_BACK, "The new version stopped answering before it took over.", Cause.HEALTH)
    return None


def _broken(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase not in {*COMPARED, Phase.BAKING}:
        return None
    if rollout.halted is not None:
        halted = replace(seen, failing=rollout.named(rollout.details.get("version")))
        return _back(rollout, halted, rollout.reason, rollout.halted)
    if seen.verdict is not None and seen.verdict.call is Call.ROLL_BACK:
        harmful = replace(seen, failing=seen.verdict.version)
        return _back(rollout, harmful, seen.verdict.reason, seen.verdict.cause)
    if seen.failure or seen.silent_too_long:
        who = f"Version {seen.failing.version}" if seen.failing is not None else "The new version"
        reason = seen.failure or f"{who} has not answered its health checks for too long."
        return _back(rollout, seen, reason, Cause.HEALTH)
    return None


def _back(rollout: Rollout, seen: Observed, reason: str, cause: Cause) -> Decision:
    """Roll back, unless the new version is the only copy that answers: then halt (flagger's rule)."""
    answers = any(one.version in seen.healthy for one in rollout.versions)
    alone = rollout.old is not None and rollout.old.version not in seen.healthy and answers
    failing = seen.failing if cause in FAILURES else None
    if not alone or rollout.percent == 0:
        return Decision(Action.ROLL_BACK, reason, cause, failing)
    if rollout.phase is Phase.BAKING:
        return Decision(Action.WAIT, f"{reason} But the version before it does not answer: traffic stays as it is.")
    halt = reason if rollout.halted else f"{reason} But the champion does not answer: traffic stays until it does."
    return Decision(Action.WAIT if rollout.halted else Action.HOLD, halt, cause, failing)


def _not_there_yet(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is Phase.STARTING and not seen.ready:
        return Decision(Action.WAIT, f"{rollout.title} {'are' if rollout.others else 'is'} starting.")
    if not seen.in_force:
        return Decision(Action.WAIT, "The gateway has not confirmed this traffic yet; logs/gateway.log.")
    return None


def _arrived(rollout: Rollout, seen: Observed) -> Decision | None:
    del seen
    return None if rollout.confirmed else Decision(Action.CONFIRM, rollout.reason, rollout.cause)


def _bakes(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is not Phase.BAKING or rollout.old is None:
        return None
    if seen.desired is not None and seen.desired != rollout.new:
        reason = f"Version {seen.desired.version} was approved meanwhile: version {rollout.old.version} need not wait."
        return Decision(Action.FINISH, reason)
    left = rollout.plan.spec.bake - (seen.now - rollout.since)  # a bake may be longer than time goes on
    if left.total_seconds() > 0:
        seconds = left.total_seconds()
        length = f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
        notice = f" {seen.verdict.reason}" if seen.verdict is not None else ""
        return Decision(Action.WAIT, f"Live. Version {rollout.old.version} stays warm for another {length}.{notice}")
    return Decision(Action.FINISH, f"Version {rollout.new.version} has kept well since it took over.")


def _paused(rollout: Rollout, seen: Observed) -> Decision | None:
    del seen
    if rollout.paused is None or rollout.phase not in {Phase.STARTING, *COMPARED}:
        return None
    return Decision(Action.WAIT, f"Paused by {rollout.paused}. `flywheel resume` lets it go on.")


def _waits_for_people(rollout: Rollout, seen: Observed) -> Decision | None:
    del seen
    if rollout.phase is not Phase.HELD or rollout.allowed:
        return None
    return Decision(Action.WAIT, rollout.reason)


def _next(rollout: Rollout, seen: Observed) -> Decision | None:
    """Take the next step when the evidence, or a person, lets it; pauses, people and windows may still make it wait."""
    if rollout.phase is Phase.STARTING:
        return _first(rollout, seen)
    told = seen.verdict is not None and seen.verdict.call is Call.PROMOTE
    if not told and (rollout.is_experiment or not rollout.allowed):
        return None  # people may let an experiment look on, but not say who has won it
    reason = seen.verdict.reason if seen.verdict is not None and told else "People let it go on."
    winner = seen.verdict.version if seen.verdict is not None else None
    return _waits(rollout, seen) or replace(_step(rollout, reason), version=winner)


def _first(rollout: Rollout, seen: Observed) -> Decision:
    version = rollout.new.version
    if rollout.rollback:
        return Decision(Action.PROMOTE, f"Version {version} was live before and answers: all requests go back to it.")
    if rollout.old is None:
        return Decision(Action.PROMOTE, "There is no champion yet: the first version goes live at once.")
    return _waits(rollout, seen) or _step(rollout, f"{rollout.title} answer{'' if rollout.others else 's'}.")


def _step(rollout: Rollout, reason: str) -> Decision:
    steps = rollout.plan.steps
    if rollout.step + 1 == len(steps):
        return Decision(Action.PROMOTE, reason)
    percent = steps[rollout.step + 1]
    whom = "them" if rollout.others else "it"
    went = f"{percent} % of the requests go to {whom}." if percent else "It gets a copy of the champion's requests."
    return Decision(Action.ADVANCE, f"{reason} {went}" if rollout.step < 0 else reason)


def _waits(rollout: Rollout, seen: Observed) -> Decision | None:
    """Say what makes the next step wait though nothing speaks against it."""
    if rollout.allowed:
        return None
    plan, step = rollout.plan, rollout.step + 1
    share = f"{plan.steps[step]} %" if step < len(plan.steps) else "all of the traffic"
    if plan.is_manual(step):
        return Decision(Action.WAIT, f"The step to {share} waits for people: `flywheel promote {rollout.new.usecase}`.")
    left = plan.spec.pause - (seen.now - rollout.since)
    if rollout.step >= 0 and left.total_seconds() > 0:
        return Decision(
            Action.WAIT, f"The step to {share} may come in {left.total_seconds() / 60:.1f} min, not before."
        )
    windows = plan.spec.windows
    if windows and not any(window.holds(seen.now) for window in windows):
        return Decision(Action.WAIT, f"The step to {share} waits for its time: {windows[0].told()}.")
    return None


def _asks(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is Phase.HELD or seen.verdict is None or not seen.verdict.asks:
        return None
    return Decision(Action.HOLD, f"{seen.verdict.reason} {_ways_out(rollout)}")


def _ways_out(rollout: Rollout) -> str:
    if rollout.is_experiment:
        usecase = rollout.new.usecase
        return f"`flywheel promote {usecase}` looks on; `flywheel experiment stop {usecase}` ends it without a winner."
    return "`flywheel promote` lets it go on; archive it to end this."


def _out_of_time(rollout: Rollout, seen: Observed) -> Decision | None:
    minutes = (seen.now - rollout.asked).total_seconds() / 60
    most = rollout.plan.spec.max_minutes
    if rollout.phase is Phase.HELD or minutes <= most:
        return None
    return Decision(
        Action.HOLD,
        f"After {most:g} minutes the evidence decides nothing. {rollout.percent} % of the requests stay with "
        f"{rollout.title.lower()}. {_ways_out(rollout)}",
    )
