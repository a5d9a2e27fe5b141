"""Alerts: what monitoring has found, whether people know of it, and what is silenced: a fold of events.

Monitoring opens, changes and resolves alerts and writes notices of them; people acknowledge, close and silence, through
the registry. Both must see the same state, so it is folded here. An alert is known by use case, kind and key: found
again, it is the same alert.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import sqlalchemy as sa

from flywheel.events import Event, EventKind, read_kinds

# What a finding may be of, and a silence: see docs/alerts.md.
TROUBLES = (
    "anomaly",
    "columns",
    "concept",
    "drift",
    "freshness",
    "log",
    "look",
    "loss",
    "missing",
    "outcomes",
    "recalibration",
    "release",
    "retraining",
    "schedule",
    "skew",
    "slice",
)
EVERYWHERE = "alerts"  # the subject of a silence that holds for all use cases


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"  # when there is time; nothing is lost
    WARNING = "warning"  # within days: it gets worse, or what watches is blind
    CRITICAL = "critical"  # now: predictions do harm


RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True)
class Finding:
    """Something that a look has found and somebody should know.

    Attributes:
        kind: Of the trouble: one of `TROUBLES`.
        key: Which one: a column, a slice, a version; '' when the use case is meant.
        severity: How soon somebody should look.
        what: The sentence that says what is wrong.
        since: Since when, in event time (naive UTC, ISO 8601).
        certainty: How sure that is, in words with numbers.
        look_at: Which rows or page to look at, as somebody would type or open it.
        next: What happens by itself, and when.
        columns: All columns that it is about, where it is about columns.
    """

    kind: str
    key: str
    severity: Severity
    what: str
    since: str
    certainty: str
    look_at: str
    next: str
    columns: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**asdict(self), "severity": self.severity.value, "columns": list(self.columns)}

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Read what `body` returned; what is not there is empty."""
        others = ("severity", "columns")
        named = {name: str(body.get(name, "")) for name in cls.__dataclass_fields__ if name not in others}
        columns = tuple(str(name) for name in body.get("columns", ()))
        return cls(**named, severity=Severity(body.get("severity", Severity.WARNING)), columns=columns)


@dataclass(frozen=True)
class Alert:
    """One that is open.

    Attributes:
        id: Twelve hexadecimal digits of use case, kind and key.
        use_case: Whose.
        finding: As it was found last.
        opened: When it was (UTC).
        quiet: Looks in a row that have not found it again.
        acknowledged: Who knows of it, and why that is enough; None: nobody.
        told: When people were told last (UTC); None: never.
        told_severity: The severity that they were told.
    """

    id: str
    use_case: str
    finding: Finding
    opened: datetime
    quiet: int = 0
    acknowledged: tuple[str, str] | None = None
    told: datetime | None = None
    told_severity: Severity | None = None


@dataclass(frozen=True)
class Silence:
    """Nobody is told of what fits it; the alerts stay open. '' fits everything.

    Attributes:
        id: Of the event that began it.
        use_case: Of which use case; '' for all.
        kind: Of which kind of trouble.
        key: Of which column, slice or version; of a column it fits alerts about nothing else.
        until: When it ends (UTC).
        by: Who said so.
        because: Why.
    """

    id: str
    use_case: str
    kind: str
    key: str
    until: datetime
    by: str
    because: str

    def covers(self, alert: Alert, now: datetime) -> bool:
        """Say whether nobody is told of an alert at `now` (UTC)."""
        finding = alert.finding
        keys = ("", finding.key, *finding.columns[:1]) if len(finding.columns) == 1 else ("", finding.key)
        fits = self.use_case in ("", alert.use_case) and self.kind in ("", finding.kind) and self.key in keys
        return fits and now < self.until


@dataclass(frozen=True)
class Board:
    """All open alerts by id, and the silences that have been neither ended nor outlived at the last event."""

    alerts: Mapping[str, Alert]
    silences: Mapping[str, Silence]

    def silence_of(self, alert: Alert, now: datetime) -> Silence | None:
        """Return a silence that covers an alert at `now` (UTC); None: people are told."""
        return next((silence for silence in self.silences.values() if silence.covers(alert, now)), None)

    def of(self, use_case: str) -> list[Alert]:
        """Return a use case's open alerts, the gravest first, the oldest of these first."""
        own = [alert for alert in self.alerts.values() if alert.use_case == use_case]
        return sorted(own, key=lambda alert: (-RANK[alert.finding.severity], alert.opened, alert.id))


EMPTY = Board({}, {})
KINDS = (
    EventKind.MONITOR_ALERT_OPENED,
    EventKind.MONITOR_ALERT_CHANGED,
    EventKind.MONITOR_ALERT_RESOLVED,
    EventKind.MONITOR_NOTICE,
    EventKind.ALERT_ACKNOWLEDGED,
    EventKind.ALERT_CLOSED,
    EventKind.ALERT_SILENCED,
    EventKind.ALERT_UNSILENCED,
)


def alert_id(use_case: str, kind: str, key: str) -> str:
    """Return by what an alert is known."""
    return hashlib.sha256("\0".join((use_case, kind, key)).encode()).hexdigest()[:12]


def fold(events: Iterable[Event], board: Board = EMPTY) -> Board:
    """Return the state after events, in their order; those of other kinds change nothing."""
    alerts, silences = dict(board.alerts), dict(board.silences)
    for event in events:
        body = event.body
        match event.kind:
            case EventKind.MONITOR_ALERT_OPENED:
                opened = Alert(str(body["id"]), event.subject, Finding.read(body), event.at)
                alerts[opened.id] = opened
            case EventKind.MONITOR_ALERT_CHANGED:
                _change(alerts, str(body["id"]), finding=Finding.read(body), quiet=int(body["quiet"]))
            case EventKind.ALERT_ACKNOWLEDGED:
                _change(alerts, str(body["id"]), acknowledged=(event.actor, str(body.get("because", ""))))
            case EventKind.MONITOR_ALERT_RESOLVED | EventKind.ALERT_CLOSED:
                alerts.pop(str(body["id"]), None)
            case EventKind.MONITOR_NOTICE:
                for told in body["alerts"]:
                    severity = Severity(told["severity"])
                    _change(alerts, str(told["id"]), told=event.at, told_severity=severity)
            case EventKind.ALERT_SILENCED:
                silences[str(event.seq)] = _silence(event)
            case EventKind.ALERT_UNSILENCED:
                silences.pop(str(body["id"]), None)
            case _:
                pass
        silences = {name: one for name, one in silences.items() if event.at < one.until}
    return Board(alerts, silences)


def read_board(connection: sa.Connection, use_case: str | None = None) -> Board:
    """Return the state now: of one use case with the silences that hold for all, or of all of them."""
    return fold(read_kinds(connection, KINDS, None if use_case is None else (use_case, EVERYWHERE)))


def _change(alerts: dict[str, Alert], name: str, **changes: Any) -> None:
    """Change an open alert; one that was closed meanwhile stays closed."""
    if name in alerts:
        alerts[name] = replace(alerts[name], **changes)


def _silence(event: Event) -> Silence:
    use_case = "" if event.subject == EVERYWHERE else event.subject
    kind, key = str(event.body.get("kind", "")), str(event.body.get("key", ""))
    until = datetime.fromisoformat(event.body["until"])
    return Silence(str(event.seq), use_case, kind, key, until, event.actor, str(event.body.get("because", "")))
