"""What can be said of a rollout: each saying, the event that it becomes, and when it would change nothing. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from flywheel.events import EventKind
from registry.rollouts.record import OPEN, Phase, Record


class Saying(StrEnum):
    """What can be said, as in the routes."""

    PAUSE = "pause"  # no step until somebody resumes it
    RESUME = "resume"  # it goes on by the evidence, and its time begins anew
    ALLOW = "allow"  # the next step comes without waiting for evidence, people or time


@dataclass(frozen=True)
class Word:
    """One saying: the event it becomes, how a refusal begins, and why not in a rollout's state (None: it may)."""

    kind: EventKind
    begins: str
    why_not: Callable[[Record], str | None]


def may_pause(found: Record) -> str | None:
    """Return why a pause would change nothing; None when it may be said."""
    if found.phase not in OPEN:
        return _too_late(found)
    return f"Rollout '{found.name}' is paused already, by {found.paused}" if found.paused is not None else None


def may_resume(found: Record) -> str | None:
    """Return why there is nothing to resume; None when it may be said."""
    if found.phase not in OPEN:
        return _too_late(found)
    if found.paused is not None:
        return None
    held = f" It is held: `flywheel promote {found.model}` lets it go on." if found.phase is Phase.HELD else ""
    return f"Rollout '{found.name}' is not paused.{held}"


def may_allow(found: Record) -> str | None:
    """Return why there is no step to allow; None when it may be said."""
    if found.phase not in OPEN:
        return _too_late(found)
    if not found.confirmed:  # who asks has not seen where it goes now: this would be a step further still
        return (
            f"Rollout '{found.name}' takes a step already, to {found.percent} % of the requests. "
            "Say it again once it is there."
        )
    way = found.plan.way
    stands = found.phase is Phase.HELD or found.paused is not None
    if found.plan.experiment and not (stands or way.manual or way.windows):
        return (
            f"'{found.name}' is an experiment and looks on by itself; nobody can say who has won. "
            f"`flywheel experiment stop {found.model}` ends it without a winner."
        )
    waits = found.allowed and found.paused is None
    return f"Rollout '{found.name}' has been allowed to go a step further already." if waits else None


def _too_late(found: Record) -> str:
    if found.phase is Phase.ROLLING_BACK:
        return f"Rollout '{found.name}' is rolling back already; nothing can stop that."
    return (
        f"Rollout '{found.name}' has no step left: version {found.new.number} takes all of the traffic. "
        f"`flywheel rollback {found.model}` goes back."
    )


WORDS = {
    Saying.PAUSE: Word(EventKind.ROLLOUT_PAUSED, "Pausing", may_pause),
    Saying.RESUME: Word(EventKind.ROLLOUT_RESUMED, "Resuming", may_resume),
    Saying.ALLOW: Word(EventKind.ROLLOUT_ALLOWED, "Promoting", may_allow),
}
