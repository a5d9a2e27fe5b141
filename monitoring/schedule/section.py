"""The section `Monitoring` of `flywheel status`: an entry point of the group `flywheel.status`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from flywheel.alerts import Alert, Severity, read_board
from flywheel.database import open_database
from flywheel.settings import Settings
from flywheel.stack.sections import Section
from flywheel.stack.supervisor import program_states
from monitoring.schedule.plan import Planned, open_schedule
from monitoring.schedule.staying import NAME

NOTHING = "No use case is looked at by itself: flywheel schedule add USECASE."
STANDS = "The schedule's program does not run: flywheel up, or see logs/schedule.log."
ANSWER_SECONDS = 3.0


def monitoring(settings: Settings) -> Section:
    """Tell what is planned and what is open.

    Raises:
        FlywheelError: Nothing has been started in this home.
    """
    try:
        with open_database(settings, "monitoring", most_seconds=ANSWER_SECONDS) as engine, engine.connect() as known:
            alerts = list(read_board(known).alerts.values())
        with open_schedule(settings) as schedule:
            planned = schedule.planned()
    except sa.exc.SQLAlchemyError:
        return Section("Monitoring", ("Postgres does not answer, so nobody knows what is planned or open.",))
    state = program_states(settings).get(NAME)
    runs = state is not None and state.state == "RUNNING"
    faults = [] if runs or not planned else [STANDS]
    faults += [f"{one.use_case}: {one.finding.what}" for one in alerts if one.finding.severity is Severity.CRITICAL]
    return Section(
        "Monitoring",
        tuple(faults),
        lambda _width: "\n".join(lines(planned, alerts)) or NOTHING,
        {"planned": [_document(one) for one in planned], "alerts": len(alerts)},
    )


def lines(planned: Sequence[Planned], alerts: Sequence[Alert]) -> list[str]:
    """Return a line for each use case that is planned or has alerts."""
    names = sorted({one.name for one in planned} | {one.use_case for one in alerts})
    following = {one.name: one.next for one in planned}
    own = {name: [one for one in alerts if one.use_case == name] for name in names}
    return [f"  {name}  {_next(name, following)}  {_open(own[name])}" for name in names]


def _next(name: str, following: dict[str, datetime | None]) -> str:
    if name not in following:
        return "not on the schedule"
    at = following[name]
    return "paused" if at is None else f"next look {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _open(alerts: Sequence[Alert]) -> str:
    if not alerts:
        return "no alert is open"
    counted = [(one.value, sum(alert.finding.severity is one for alert in alerts)) for one in reversed(Severity)]
    said = ", ".join(f"{count} {name}" for name, count in counted if count)
    return f"alerts: {said} (flywheel alerts list)"


def _document(one: Planned) -> dict[str, Any]:
    return {"name": one.name, "next": None if one.next is None else one.next.isoformat()}
