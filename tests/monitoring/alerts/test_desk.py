"""The desk on a real Postgres, as monitoring's own role: what several looks at once find is told once."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from flywheel.alerts import Finding, Severity, read_board
from flywheel.connections import secrets
from flywheel.events import EventKind, read
from flywheel.identities import MONITORING
from flywheel.monitor_spec import Alerts
from flywheel.settings import Settings
from monitoring.alerts.desk import Desk

FOUND = Finding("drift", "distance", Severity.WARNING, "distance moved", "2026-01-01", "sure", "rows", "nothing")


@pytest.fixture
def engine(stack: Settings) -> Iterator[sa.Engine]:
    made = sa.create_engine(secrets(stack).databases["monitoring"])
    yield made
    made.dispose()


def test_looks_at_once_open_an_alert_once_and_tell_it_once(engine: sa.Engine) -> None:
    name = f"flights-{uuid.uuid4().hex[:8]}"

    def look(_: int) -> None:
        Desk(engine).report(name, [FOUND], examined=("drift",), policy=Alerts())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(8)))
    with engine.connect() as connection:
        told = read(connection, subject=name)
        board = read_board(connection, name)
    assert [event.kind for event in told] == [EventKind.MONITOR_ALERT_OPENED, EventKind.MONITOR_NOTICE]
    assert {event.actor for event in told} == {MONITORING}
    assert [one.finding for one in board.of(name)] == [FOUND]


def test_two_quiet_looks_resolve_it(engine: sa.Engine) -> None:
    name, desk = f"flights-{uuid.uuid4().hex[:8]}", Desk(engine)
    for found in ([FOUND], [], []):
        board = desk.report(name, found, examined=("drift",), policy=Alerts())
    assert not board.of(name)
    with engine.connect() as connection:
        kinds = [event.kind for event in read(connection, subject=name)]
    assert kinds[-2:] == [EventKind.MONITOR_ALERT_RESOLVED, EventKind.MONITOR_NOTICE]
