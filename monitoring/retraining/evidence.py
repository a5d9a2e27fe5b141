"""What a decision about retraining rests on: plain values, which come from events, from the log, or from a backtest.

Times are naive UTC on the clock of the data (a window's as_of), except where a real clock is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from flywheel.events import Event, EventKind

LONGEST_TRAINING = timedelta(hours=24)  # of real time; one that says nothing for longer has died


class End(StrEnum):
    """How a retraining stands. Only `running` is ever left."""

    RUNNING = "running"  # started, and nothing was heard yet
    REGISTERED = "registered"  # it registered a version
    FAILED = "failed"  # it ended without one
    REFUSED = "refused"  # training found that a person must train: code or environment are not the champion's
    DIED = "died"  # it never said how it ended, and its time is up


@dataclass(frozen=True)
class Looked:
    """One window that was judged.

    Attributes:
        start: Of event time, included; `end` is excluded.
        known_at: What was known then was used.
        verdict: quiet, harm or too few, as `monitoring.performance.harm.Verdict` says.
        basis: realised (by outcomes) or estimated (before them).
        loss: Mean of a row; None where nothing could be computed.
        difference_low: Lower bound of the loss's rise over the reference; harm is when it lies above the margin.
    """

    start: datetime
    end: datetime
    known_at: datetime
    verdict: str
    basis: str = "realised"
    loss: float | None = None
    difference_low: float | None = None


@dataclass(frozen=True)
class Attempt:
    """One retraining that was started: as of which time of the data, how it ended, and why it was refused, if so."""

    as_of: datetime
    end: End
    reason: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that is known at `now`.

    Attributes:
        now: On the clock of the data.
        windows: Judged so far.
        attempts: Retrainings before, in the order in which they were started.
        trained_at: What the champion was trained as of; None: not known, so age starts nothing.
        new_labels: Labels that became known since; None: not counted.
        drift: What the drift alarm says, in a sentence; None without one.
    """

    now: datetime
    windows: tuple[Looked, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    trained_at: datetime | None = None
    new_labels: int | None = None
    drift: str | None = None

    @property
    def age(self) -> timedelta | None:
        """How old the champion's knowledge is."""
        return None if self.trained_at is None else self.now - self.trained_at

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON, from which `from_body` makes it again."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """Read what `body` wrote."""
        return cls(
            now=datetime.fromisoformat(body["now"]),
            windows=tuple(_looked(one) for one in body["windows"]),
            attempts=tuple(_attempt(one) for one in body["attempts"]),
            trained_at=None if body["trained_at"] is None else datetime.fromisoformat(body["trained_at"]),
            new_labels=body["new_labels"],
            drift=body["drift"],
        )


def windows_of(events: Sequence[Event], now: datetime) -> tuple[Looked, ...]:
    """Read the windows that were judged by `now`, in order of their ends; of a span looked at again the last look.

    Args:
        events: Of one use case, in order; kinds other than `monitor.window` do not count.
        now: On the clock of the data; windows known later are left out.
    """
    bodies = [event.body for event in events if event.kind == EventKind.MONITOR_WINDOW and "end" in event.body]
    known: dict[tuple[datetime, datetime], Looked] = {}
    for body in bodies:
        one = _looked({**body, "known_at": body["as_of"], "basis": body.get("basis", "realised")})
        if one.known_at <= now:
            known[one.start, one.end] = one
    return tuple(sorted(known.values(), key=lambda one: (one.end, one.start)))


def attempts_of(events: Sequence[Event], clock: datetime) -> tuple[Attempt, ...]:
    """Read the retrainings that were started, in order; an end belongs to the last start of its as_of.

    Args:
        events: Of one use case, in order; kinds other than `retrain.started` and `retrain.finished` do not count.
        clock: The real time (UTC), by which one that says nothing is given up after `LONGEST_TRAINING`.
    """
    found: list[Attempt] = []
    for event in events:
        if event.kind == EventKind.RETRAIN_STARTED:
            died = clock - event.at.astimezone(UTC) > LONGEST_TRAINING
            as_of = datetime.fromisoformat(event.body["as_of"])
            found.append(Attempt(as_of, End.DIED if died else End.RUNNING))
        elif event.kind == EventKind.RETRAIN_FINISHED:
            _finish(found, _attempt({**event.body, "end": event.body["outcome"]}))
    return tuple(found)


def _finish(found: list[Attempt], ended: Attempt) -> None:
    for place in reversed(range(len(found))):
        if found[place].as_of == ended.as_of:
            found[place] = ended
            return


def _attempt(body: Mapping[str, Any]) -> Attempt:
    return Attempt(datetime.fromisoformat(body["as_of"]), End(body["end"]), str(body.get("reason") or ""))


def _looked(body: Mapping[str, Any]) -> Looked:
    return Looked(
        start=datetime.fromisoformat(body["start"]),
        end=datetime.fromisoformat(body["end"]),
        known_at=datetime.fromisoformat(body["known_at"]),
        verdict=str(body["verdict"]),
        basis=str(body["basis"]),
        loss=body.get("loss"),
        difference_low=body.get("difference_low"),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
