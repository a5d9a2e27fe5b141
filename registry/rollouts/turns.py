"""What happened in a rollout, turn by turn: an intent and its confirmation are one; and their time line. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flywheel.events import EventKind
from flywheel.rollbacks import FAILURES
from registry.review.wording import tell
from registry.rollouts.charts import time_axis
from registry.rollouts.record import SAID, Moment, Record
from registry.rollouts.withdrawals import with_moments

# On the time line, marks that are nearer than this (percent of the width) are one: the first says how many it holds.
NEAREST = 5.0
# A transition is told of only where it withdrew the version.
WARNS = frozenset({EventKind.ROLLOUT_HELD, EventKind.ROLLOUT_PAUSED, EventKind.ROLLOUT_WARNED, EventKind.TRANSITION})
OF_PEOPLE = SAID | {EventKind.TRANSITION}


@dataclass(frozen=True)
class Turn:
    """One thing that somebody did.

    Args:
        number: From 1, oldest first.
        at: When it was decided.
        who: By whom.
        what: What, continuing the name.
        more: Why.
        tone: good, bad, warn, or neither.
        seq: Number of its event.
        percent: Of the requests that the new version should answer after it.
        confirmed: Seconds until the gateway confirmed it; None where nothing is confirmed, or not yet.
        waits: Whether the gateway has to confirm it, and has not.
    """

    number: int
    at: datetime
    who: str
    what: str
    more: str
    tone: str
    seq: int
    percent: int
    confirmed: float | None = None
    waits: bool = False


@dataclass(frozen=True)
class Mark:
    """Some turns at one place (percent of the width) of the time line."""

    place: float
    turns: Sequence[Turn]

    @property
    def tone(self) -> str:
        """The worst of its turns' tones."""
        return next((tone for tone in ("bad", "warn", "good") if any(one.tone == tone for one in self.turns)), "")

    @property
    def label(self) -> str:
        """What its mark says: the number of its first turn, and whether more follow."""
        return f"{self.turns[0].number}{'+' if len(self.turns) > 1 else ''}"


def turns(record: Record) -> list[Turn]:
    """Return what happened, oldest first."""
    found: list[Turn] = []
    intent: tuple[EventKind, int] | None = None  # its kind, and its place in `found`
    for moment in with_moments(record):
        event = moment.event
        if event.body.get("state") == "done" and intent is not None and event.kind == intent[0]:
            turn = found[intent[1]]
            found[intent[1]] = replace(turn, confirmed=(event.at - turn.at).total_seconds(), waits=False)
            intent = None
            continue
        is_intent = event.body.get("state") == "intent" and event.kind != EventKind.ROLLOUT_HELD
        if event.kind not in OF_PEOPLE:
            intent = (event.kind, len(found)) if is_intent else None
        found.append(_turn(len(found) + 1, moment, waits=is_intent))
    return found


def _turn(number: int, moment: Moment, *, waits: bool) -> Turn:
    event, told = moment.event, tell(moment.event)
    no_failure = event.kind == EventKind.ROLLOUT_ROLLED_BACK and event.body.get("cause") not in FAILURES
    tone = "warn" if event.kind in WARNS or no_failure else told.tone
    return Turn(number, event.at, told.who, told.what, told.more, tone, event.seq, moment.percent, waits=waits)


def marks(record: Record, found: Sequence[Turn], until: datetime) -> list[Mark]:
    """Place turns on the time line from the start to `until`."""
    axis = time_axis(record, until)
    placed: list[Mark] = []
    for turn in found:
        place = axis.percent((turn.at - record.started).total_seconds())
        if placed and place - placed[-1].place < NEAREST:
            placed[-1] = Mark(placed[-1].place, [*placed[-1].turns, turn])
        else:
            placed.append(Mark(place, [turn]))
    return placed
