"""Prometheus' Alertmanager as a receiver: alerts go where those of the infrastructure go, and are grouped there.

Its API is POST /api/v2/alerts; an alert that is sent again with the same labels is the same one, and it rings until its
`endsAt`. Monitoring tells what stays open again at least as often as `HOLDS` says.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field, model_validator

from flywheel.alerts import Severity
from flywheel.events import Event, EventKind
from registry.hooks.posting import check_url, origin, post
from registry.hooks.receiver import Receiver, Secret, entries_of

API = "/api/v2/alerts"
HOLDS = timedelta(days=8)  # until an alert that is not told again ends by itself
NAME = "FlywheelMonitoring"
# As the rules of platform/prometheus have it, so that one route serves both.
LABELS = {Severity.CRITICAL: "page", Severity.WARNING: "ticket", Severity.INFO: "info"}
ONE_TIME = timedelta(hours=12)  # how long an event that nobody resolves rings


class Alertmanager(Receiver):
    """One Alertmanager."""

    url: str = Field(description="Its address, such as http://127.0.0.1:9093.")
    events: tuple[str, ...] = Field(("monitor.notice", "alert"), min_length=1, description="Kinds of events.")
    secret: Secret | None = Field(None, description="A bearer token that it wants.")
    allow_http: bool = Field(False, description="Allow plain http to another machine.")

    @model_validator(mode="after")
    def _is_reachable(self) -> "Alertmanager":
        check_url(self.url, allow_http=self.allow_http)
        return self

    def describe(self) -> dict[str, str]:
        """Name its host."""
        return {"kind": "alertmanager", "target": origin(self.url), "events": " ".join(self.events)}

    def deliver(self, event: Event) -> None:
        """Post the alerts of one event.

        Raises:
            TransientError: Not taken.
            RefusedError: Refused for what was sent.
        """
        self._post(alerts_of(event))

    def try_out(self) -> None:
        """Post an alert of severity info that is over at once; raises as `deliver`."""
        now = datetime.now(UTC)
        labels = {"alertname": NAME, "kind": "test", "severity": LABELS[Severity.INFO]}
        self._post([_alert(labels, {"summary": "A test of the way to here."}, now, now + timedelta(seconds=1))])

    def _post(self, alerts: list[dict[str, Any]]) -> None:
        headers = {"Content-Type": "application/json"}
        if self.secret is not None:
            headers["Authorization"] = f"Bearer {self.secret.read()}"
        post(self.url.rstrip("/") + API, json.dumps(alerts).encode(), headers)


def alerts_of(event: Event) -> list[dict[str, Any]]:
    """Return an event as Alertmanager's alerts: those of a notice, or one for any other event."""
    if event.kind == EventKind.MONITOR_NOTICE:
        return [alert for entry in entries_of(event) for alert in _of_notice(event, entry)]
    labels = {
        "alertname": "FlywheelEvent",
        "kind": str(event.body.get("what", event.kind)),
        "subject": event.subject,
        "severity": LABELS[Severity.CRITICAL],
    }
    said = str(event.body.get("sentence") or event.body.get("reason") or event.kind)
    return [_alert(labels, {"summary": said}, event.at, event.at + ONE_TIME)]


def _of_notice(event: Event, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield it, and the end of what it was before: with another severity it is another alert by its labels."""
    labels = {"alertname": NAME, "use_case": event.subject}
    labels |= {name: str(entry[name]) for name in ("kind", "key", "id")}
    notes = {"summary": entry["what"], "description": entry["next"], "since": entry["since"]}
    notes |= {"certainty": entry["certainty"], "look_at": entry["look_at"]}
    start = datetime.fromisoformat(entry["opened"])
    for severity in Severity:
        rings = entry["why"] != "resolved" and severity == entry["severity"]
        if rings or entry["why"] in {"resolved", "worse"}:
            end = event.at + HOLDS if rings else event.at
            yield _alert({**labels, "severity": LABELS[severity]}, notes, start, end)


def _alert(labels: Mapping[str, str], notes: Mapping[str, str], start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in notes.items() if value},
        "startsAt": start.isoformat(),
        "endsAt": end.isoformat(),
    }
