"""What people say of alerts, on the real server: recorded under their name, or refused with a sentence."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flywheel.alerts import EVERYWHERE, Finding, Severity, read_board
from flywheel.connections import secrets
from flywheel.errors import UsageError
from flywheel.events import EventKind, read
from flywheel.identities import SERVICES
from flywheel.monitor_spec import Alerts
from flywheel.settings import Settings
from monitoring.alerts.desk import Desk
from tests.registry.commands import call, run
from tests.registry.conftest import Server

FOUND = Finding("drift", "distance", Severity.WARNING, "distance moved", "2026-01-01", "sure", "rows", "nothing yet")


@pytest.fixture
def desk(stack: Settings) -> Iterator[Desk]:
    engine = sa.create_engine(secrets(stack).databases["monitoring"])
    yield Desk(engine)
    engine.dispose()


@pytest.fixture
def name() -> str:
    return f"flights-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def alert(desk: Desk, name: str) -> str:
    return next(iter(desk.report(name, [FOUND], examined=("drift",), policy=Alerts()).of(name))).id


def post(server: Server, user: str | None, path: str, **body: str) -> tuple[int, dict[str, Any]]:
    answer = server.call(user, "POST", f"/flywheel/api/{path}", json=body)
    return answer.status_code, answer.json() if answer.content.startswith(b"{") else {}


def listed(server: Server, name: str) -> list[dict[str, Any]]:
    found = server.call("ada", "GET", "/flywheel/api/alerts")
    assert found.status_code == 200, found.text
    return [one for one in found.json()["alerts"] if one["use_case"] == name]


def test_who_acknowledges_stands_on_the_record_and_in_the_list(server: Server, name: str, alert: str) -> None:
    status, said = post(server, "olga", f"alerts/{alert}/acknowledge", because="the sensor is on its way")
    assert (status, said["by"]) == (200, "olga")
    (event,) = server.events(name, EventKind.ALERT_ACKNOWLEDGED)
    assert (event.actor, event.body["because"]) == ("olga", "the sensor is on its way")
    (shown,) = listed(server, name)
    assert shown["acknowledged"] == {"by": "olga", "because": "the sensor is on its way"}
    assert shown["what"] == "distance moved"


def test_who_closes_one_ends_it_and_the_next_look_that_finds_it_opens_it_anew(
    server: Server, desk: Desk, name: str, alert: str
) -> None:
    assert post(server, "olga", f"alerts/{alert}/close", because="on purpose")[0] == 200
    assert listed(server, name) == []
    status, said = post(server, "olga", f"alerts/{alert}/close", because="on purpose")
    assert status == 409
    assert "No alert" in said["message"]
    desk.report(name, [FOUND], examined=("drift",), policy=Alerts())
    assert len(listed(server, name)) == 1


def test_a_silence_covers_what_fits_until_somebody_ends_it(server: Server, desk: Desk, name: str) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    status, made = post(server, "olga", "silences", use_case=name, kind="drift", until=until, because="we move")
    assert (status, made["by"]) == (200, "olga")
    desk.report(name, [FOUND], examined=("drift",), policy=Alerts())
    assert server.events(name, EventKind.MONITOR_NOTICE) == []
    assert listed(server, name)[0]["silenced_until"] == made["until"]
    assert post(server, "olga", f"silences/{made['id']}/end", because="done")[0] == 200
    desk.report(name, [FOUND], examined=("drift",), policy=Alerts())
    assert len(server.events(name, EventKind.MONITOR_NOTICE)) == 1
    assert post(server, "olga", f"silences/{made['id']}/end", because="done")[0] == 409


@pytest.mark.parametrize("user", ["ada", "vic", "admin", *SERVICES])
def test_who_may_not_operate_is_refused_and_nothing_is_recorded(
    server: Server, name: str, alert: str, user: str
) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    for path, body in (
        (f"alerts/{alert}/acknowledge", {}),
        (f"alerts/{alert}/close", {}),
        ("silences", {"use_case": name, "until": until}),
    ):
        status, said = post(server, user, path, because="x", **body)
        assert status == 403
        assert "refused" in said["message"]
    kinds = {event.kind for event in server.events(name)}
    assert kinds == {EventKind.MONITOR_ALERT_OPENED, EventKind.MONITOR_NOTICE}


@pytest.mark.parametrize(
    ("until", "status", "sentence"),
    [
        ("tomorrow", 400, "is no time"),
        ("2020-01-01T00:00:00Z", 409, "within 90 days"),
        ("2300-01-01", 409, "within 90 days"),
    ],
)
def test_a_silence_must_end_in_time(server: Server, name: str, until: str, status: int, sentence: str) -> None:
    answered, said = post(server, "olga", "silences", use_case=name, until=until, because="x")
    assert answered == status
    assert sentence in said["message"]


def test_a_kind_that_no_alert_has_is_refused(server: Server, name: str) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    status, said = post(server, "olga", "silences", use_case=name, kind="drfit", until=until, because="x")
    assert status == 409
    assert "No alert is of kind 'drfit'" in said["message"]


def test_the_commands_say_the_same(home: None, server: Server, name: str, alert: str) -> None:
    told = run("alerts", "list", "--usecase", name, "--user", "olga")
    assert told.splitlines()[0].startswith(f"{alert}  warning   {name}  drift distance")
    for words in ("distance moved", "since: 2026-01-01", "how sure: sure", "look at: rows", "next: nothing yet"):
        assert words in told
    made = run("alerts", "silence", "--usecase", name, "--for", "3h", "--because", "we move", "--user", "olga")
    number = made.split()[1]
    assert f"Silence {number}: {name} until" in run("alerts", "list", "--user", "vic")
    assert "is over" in run("alerts", "unsilence", number, "--because", "done", "--user", "olga")
    assert "is known now" in run("alerts", "acknowledge", alert, "--because", "x", "--user", "olga")
    assert "known by olga: x" in run("alerts", "list", "--usecase", name, "--user", "vic")
    assert "is closed" in run("alerts", "close", alert, "--because", "x", "--user", "olga")
    assert run("alerts", "list", "--usecase", name, "--user", "vic").startswith("No alert is open.")
    with pytest.raises(UsageError, match="is no length of time"):
        call("alerts", "silence", "--for", "long", "--because", "x", "--user", "olga")


def test_a_silence_for_all_is_seen_by_every_use_case(server: Server, name: str) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    status, made = post(server, "olga", "silences", key=name, until=until, because="a test")
    assert status == 200
    with server.engine.connect() as connection:
        assert made["id"] in read_board(connection, name).silences
        assert read(connection, EventKind.ALERT_SILENCED, EVERYWHERE)
    assert post(server, "olga", f"silences/{made['id']}/end", because="done")[0] == 200
