"""Where a rollout stands, in a word and in a line: for lists, and the head of its page. Pure."""

from datetime import datetime

from flywheel.rollbacks import Cause
from registry.review.wording import tell
from registry.rollouts.record import Phase, Record
from registry.rollouts.waiting import waits_for

TITLES = {
    Phase.STARTING: ("Starting", ""),
    Phase.SHADOW: ("In the shadow", "accent"),
    Phase.CANARY: ("Canary", "accent"),
    Phase.HELD: ("Held: it asks people", "warn"),
    Phase.PROMOTING: ("Takes over", "accent"),
    Phase.BAKING: ("Live, the version before is still warm", "good"),
    Phase.DONE: ("Live", "good"),
    Phase.ROLLING_BACK: ("Goes back", "bad"),
    Phase.ROLLED_BACK: ("Rolled back", "bad"),
}
# What ended it speaks against no version.
NO_FAILURES = {
    Cause.SUPERSEDED: "Superseded",
    Cause.WITHDRAWN: "Taken back by people",
    Cause.NO_WINNER: "Ended without a winner",
}


def title(record: Record) -> tuple[str, str]:
    """Say where a rollout stands, with a tone."""
    if record.replaced is not None:
        return f"Replaced by version {record.replaced}", ""
    if record.phase is Phase.ROLLED_BACK and record.cause in NO_FAILURES:
        return ("Stopped by people" if record.stopped else NO_FAILURES[Cause(record.cause)]), ""
    if record.gone and record.phase is not Phase.ROLLED_BACK:
        return "Taken out of service", "bad"
    words, tone = TITLES[record.phase]
    return (f"{words}, paused", "warn") if record.paused is not None and record.is_under_way else (words, tone)


def standing(record: Record, now: datetime) -> str:
    """Say in a line what a rollout waits for, else how it ended and by whose word."""
    if record.withdrawn is None:
        return waits_for(record, now) or record.reason
    told = tell(record.withdrawn)
    return f"{told.who} {told.what}{f': {told.more}' if told.more else '.'}"
