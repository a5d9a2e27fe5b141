"""Why a rollout went back, and whether that speaks against the version: what controller and gate must agree on."""

from collections.abc import Iterable
from enum import StrEnum

from flywheel.events import Event, EventKind


class Cause(StrEnum):
    """Why a rollout was rolled back. The first three say that the version failed: its digest never starts again."""

    VERDICT = "verdict"  # it failed more often than the champion
    START = "start"  # it did not start, or its bytes are not those that were approved
    HEALTH = "health"  # it stopped answering for too long
    ENVIRONMENT = "environment"  # its environment cannot be built; perhaps an index is down, so it may be approved anew
    SUPERSEDED = "superseded"  # a newer version was approved meanwhile
    WITHDRAWN = "withdrawn"  # somebody took it out of Production
    NO_WINNER = "no winner"  # an experiment found none better than the champion, or people ended it


FAILURES = frozenset({Cause.VERDICT, Cause.START, Cause.HEALTH})
LOG_FOLLOWS = "The end of its log:"  # heads the lines of a log in a reason


def failure(events: Iterable[Event], subject: str) -> str | None:
    """Return why a version (`model/version`) failed in a rollout, in one line; None when it did not."""
    reasons = [
        str(event.body.get("reason", "it failed"))
        for event in events
        if event.kind == EventKind.ROLLOUT_ROLLED_BACK
        and event.subject == subject
        and event.body.get("cause") in FAILURES
    ]
    return in_one_line(reasons[-1]) if reasons else None


def in_one_line(reason: str) -> str:
    """Return a reason without the log that may follow it."""
    return reason.partition("\n")[0].rstrip().removesuffix(LOG_FOLLOWS).rstrip()
