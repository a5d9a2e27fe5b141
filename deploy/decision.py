"""What one tick does about a rollout: guards in a fixed order, each of which may speak. Pure: nothing here does I/O.

Flows in: a rollout as its events tell it, and what the controller sees. Flows out: a Decision with its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from deploy.desired import Served
from deploy.rollout import Phase, Rollout
from deploy.verdict import Call, Verdict
from flywheel.rollbacks import Cause


class Action(StrEnum):
    """What one tick may do about a rollout."""

    WAIT = "wait"
    CONFIRM = "confirm"  # record that the last intent has come true
    ADVANCE = "advance"  # next step
    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    HOLD = "hold"


@dataclass(frozen=True)
class Decision:
    """One action with its reason; a roll-back has a cause."""

    action: Action
    reason: str
    cause: Cause | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


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
        silent_too_long: The canary has not been healthy for longer than is tolerated.
        verdict: Of the last look at this step.
        rollback: `desired` was live before, and people want it back.
    """

    desired: Served | None
    in_force: bool
    ready: bool
    healthy: frozenset[str]
    now: datetime
    failure: str | None = None
    silent_too_long: bool = False
    verdict: Verdict | None = None
    rollback: bool = False


def decide(rollout: Rollout, seen: Observed) -> Decision:
    """Choose what one tick does: the first guard that speaks, in this order."""
    for guard in (_unwanted, _never_there, _broken, _not_there_yet, _arrived, _waits_for_people, _next, _out_of_time):
        decision = guard(rollout, seen)
        if decision is not None:
            return decision
    reason = seen.verdict.reason if seen.verdict else "No look has been taken at this step yet."
    return Decision(Action.WAIT, reason, numbers=seen.verdict.numbers if seen.verdict else {})


def _unwanted(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is Phase.PROMOTING and seen.rollback and seen.desired != rollout.new:
        # Finishing it would archive the champion, which may be the very version that people have gone back to.
        reason = f"Version {rollout.new.version} was rolled back by people before it had taken over."
        return Decision(Action.ROLL_BACK, reason, Cause.WITHDRAWN)
    if rollout.phase not in {Phase.STARTING, Phase.CANARY, Phase.HELD} or seen.desired == rollout.new:
        return None
    newer = seen.desired is not None and seen.desired != rollout.old
    if newer and seen.desired is not None:
        reason = f"Version {seen.desired.version} was approved meanwhile and takes this rollout's place."
        return _back(rollout, seen, reason, Cause.SUPERSEDED)
    reason = f"Version {rollout.new.version} is not in Production any more."
    return _back(rollout, seen, reason, Cause.WITHDRAWN)


def _never_there(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is Phase.STARTING and seen.failure:
        return Decision(Action.ROLL_BACK, seen.failure, Cause.START)
    if rollout.phase is Phase.PROMOTING and rollout.old is not None and not seen.in_force and seen.silent_too_long:
        return Decision(Action.ROLL_BACK, "The new version stopped answering before it took over.", Cause.HEALTH)
    return None


def _broken(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase not in {Phase.CANARY, Phase.HELD}:
        return None
    if rollout.halted is not None:
        return _back(rollout, seen, rollout.reason, rollout.halted)
    if seen.verdict is not None and seen.verdict.call is Call.ROLL_BACK:
        return _back(rollout, seen, seen.verdict.reason, Cause.VERDICT)
    if seen.failure or seen.silent_too_long:
        reason = seen.failure or "The canary has not answered its health checks for too long."
        return _back(rollout, seen, reason, Cause.HEALTH)
    return None


def _back(rollout: Rollout, seen: Observed, reason: str, cause: Cause) -> Decision:
    """Roll back, unless the canary is the only copy that answers: then halt (flagger's rule)."""
    numbers = seen.verdict.numbers if seen.verdict else {}
    alone = rollout.old is not None and rollout.old.version not in seen.healthy and rollout.new.version in seen.healthy
    if not alone or rollout.percent == 0:
        return Decision(Action.ROLL_BACK, reason, cause, numbers)
    halt = reason if rollout.halted else f"{reason} But the champion does not answer: traffic stays until it does."
    return Decision(Action.WAIT if rollout.halted else Action.HOLD, halt, cause, numbers)


def _not_there_yet(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is Phase.STARTING and not seen.ready:
        return Decision(Action.WAIT, f"Version {rollout.new.version} is starting.")
    if not seen.in_force:
        return Decision(Action.WAIT, "The gateway has not confirmed this traffic yet; logs/gateway.log.")
    return None


def _arrived(rollout: Rollout, seen: Observed) -> Decision | None:
    del seen
    if rollout.confirmed:
        return None
    return Decision(Action.CONFIRM, rollout.reason, rollout.cause)


def _waits_for_people(rollout: Rollout, seen: Observed) -> Decision | None:
    del seen
    if rollout.phase is not Phase.HELD:
        return None
    return Decision(Action.WAIT, rollout.reason)


def _next(rollout: Rollout, seen: Observed) -> Decision | None:
    if rollout.phase is Phase.STARTING:
        if rollout.rollback:
            reason = f"Version {rollout.new.version} was live before and answers: all requests go back to it at once."
            return Decision(Action.PROMOTE, reason)
        if rollout.old is None:
            return Decision(Action.PROMOTE, "There is no champion yet: the first version goes live at once.")
        percent = rollout.plan.steps[0]
        return Decision(Action.ADVANCE, f"Version {rollout.new.version} answers: {percent} % of the requests go to it.")
    if seen.verdict is None or seen.verdict.call is not Call.PROMOTE:
        return None
    last = rollout.step + 1 == len(rollout.plan.steps)
    return Decision(Action.PROMOTE if last else Action.ADVANCE, seen.verdict.reason, numbers=seen.verdict.numbers)


def _out_of_time(rollout: Rollout, seen: Observed) -> Decision | None:
    minutes = (seen.now - rollout.started).total_seconds() / 60
    if minutes <= rollout.max_minutes:
        return None
    reason = (
        f"After {rollout.max_minutes:g} minutes the evidence decides nothing. {rollout.percent} % of the requests stay "
        f"with version {rollout.new.version}; archive it to end this, and approve it again to start anew."
    )
    return Decision(Action.HOLD, reason, numbers=seen.verdict.numbers if seen.verdict else {})
