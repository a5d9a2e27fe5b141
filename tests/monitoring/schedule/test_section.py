"""What `flywheel status` says of monitoring."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel.alerts import Alert, Finding, Severity
from flywheel.settings import Settings
from monitoring.schedule import section
from monitoring.schedule.plan import Planned

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def alert(use_case: str, severity: Severity) -> Alert:
    finding = Finding("drift", severity.value, severity, "distance moved", "2026-01-01", "sure", "rows", "nothing")
    return Alert("1", use_case, finding, NOON)


def test_each_use_case_has_a_line_with_its_next_look_and_what_is_open() -> None:
    planned = [
        Planned("flights", Path("a.yaml"), timedelta(days=1), NOON),
        Planned("rain", Path("b.yaml"), timedelta(days=1), None),
    ]
    alerts = [alert("flights", Severity.WARNING), alert("flights", Severity.CRITICAL), alert("old", Severity.INFO)]
    assert section.lines(planned, alerts) == [
        "  flights  next look 2026-01-01 12:00 UTC  alerts: 1 critical, 1 warning (flywheel alerts list)",
        "  old  not on the schedule  alerts: 1 info (flywheel alerts list)",
        "  rain  paused  no alert is open",
    ]


def test_a_stack_that_runs_is_told(stack: Settings) -> None:
    made = section.monitoring(stack)
    assert made.part == "Monitoring"
    assert isinstance(made.document()["planned"], list)


def test_without_postgres_it_says_so(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(section, "open_database", away)
    assert section.monitoring(stack).faults == ("Postgres does not answer, so nobody knows what is planned or open.",)
