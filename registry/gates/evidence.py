"""Evidence: what a gate found of one version's bytes, as an event (`gate.measured`) that names their digest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from flywheel.events import Event, EventKind


class Outcome(StrEnum):
    """What a gate says."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    COULD_NOT_RUN = "could_not_run"  # it says nothing about the version; the sentence says why


@dataclass(frozen=True)
class Measurement:
    """What a gate measured.

    Args:
        outcome: Its verdict.
        sentence: For a reviewer: what was measured, and what that means.
        value: The number; None without one.
        limit: What it was held against; None without one.
        unit: Of both, such as ms or MB; '' without one.
        low: Lower end of the value's 95 % interval; None without one.
        high: Upper end likewise.
        details: More for the page and for machines; plain JSON, small.
    """

    outcome: Outcome
    sentence: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Reason:
    """Why something was measured.

    Args:
        required_by: `policy`, `use case`, or '' when somebody asked for it by name alone.
        asked: The number of the newest event (`version.created`, `gates.requested`) that it answers; 0 for none.
        remaining: Gates that the same job had still to measure; at 0 it has answered everything up to `asked`.
    """

    required_by: str = ""
    asked: int = 0
    remaining: int = 0


@dataclass(frozen=True)
class Evidence:
    """A measurement on record.

    Args:
        gate: Its name.
        measurement: What it said.
        digest: Of the bytes it is about.
        command: What repeats it.
        limits: The limits in force when it was measured, as plain JSON.
        champion: Digest of the champion it was compared with; None without one.
        at: When, UTC.
        seq: Its event's number.
        reason: Why it was measured.
    """

    gate: str
    measurement: Measurement
    digest: str
    command: str
    limits: Mapping[str, Any]
    champion: str | None
    at: datetime
    seq: int
    reason: Reason = Reason()  # frozen


def evidence_body(
    model: str,
    version: str,
    gate: str,
    found: Measurement,
    *,
    digest: str,
    command: str,
    limits: Mapping[str, Any],
    champion: str | None,
    reason: Reason = Reason(),  # frozen
) -> dict[str, Any]:
    """Write the body of `gate.measured`; `read_evidence` reads it."""
    return {
        "model": model,
        "version": version,
        "gate": gate,
        "outcome": str(found.outcome),
        "sentence": found.sentence,
        "value": found.value,
        "limit": found.limit,
        "unit": found.unit,
        "low": found.low,
        "high": found.high,
        "details": dict(found.details or {}),
        "digest": digest,
        "command": command,
        "limits": dict(limits),
        "champion": champion,
        "required_by": reason.required_by,
        "asked": reason.asked,
        "remaining": reason.remaining,
    }


def read_evidence(events: Iterable[Event], subject: str) -> dict[str, Evidence]:
    """Return the newest evidence on a version (`model/version`) by gate, whatever bytes it is about."""
    found = {}
    for event in events:
        if event.kind == EventKind.GATE_MEASURED and event.subject == subject:
            found[str(event.body["gate"])] = _evidence(event)
    return found


def _evidence(event: Event) -> Evidence:
    body = event.body
    measured = Measurement(
        outcome=Outcome(body["outcome"]),
        sentence=body["sentence"],
        value=body["value"],
        limit=body["limit"],
        unit=body["unit"],
        low=body["low"],
        high=body["high"],
        details=body["details"],
    )
    return Evidence(
        gate=body["gate"],
        measurement=measured,
        digest=body["digest"],
        command=body["command"],
        limits=body["limits"],
        champion=body["champion"],
        at=event.at,
        seq=event.seq,
        reason=Reason(
            required_by=str(body.get("required_by") or ""),
            asked=int(body.get("asked") or 0),
            remaining=int(body.get("remaining") or 0),
        ),
    )
