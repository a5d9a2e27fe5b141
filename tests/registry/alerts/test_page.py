"""The page of alerts, as people see it: what is open, who may answer, and that it fits a small screen."""

import shutil
import uuid
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from flywheel.alerts import Finding, Severity
from flywheel.connections import secrets
from flywheel.events import EventKind
from flywheel.monitor_spec import Alerts
from flywheel.settings import Settings
from monitoring.alerts.desk import Desk
from tests.registry.conftest import Server
from tests.registry.review.test_browser import PALE

AA = 4.5  # WCAG 2.2, contrast of text
NOBODY = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
COMMAND = (
    "flywheel rows /work/a/very/long/folder/flights/usecase.yaml --start 2013-12-31 --end 2014-01-01 --column temp"
)
FOUND = (
    Finding(
        "loss",
        "",
        Severity.CRITICAL,
        "Log-loss <b>is</b> high. Report: http://mlflow/#/1",
        "2013-12-24",
        "sure",
        COMMAND,
        "nothing",
    ),
    Finding("drift", "distance mean (version 1)", Severity.WARNING, "'distance' moved", "2013-12-01", "e 812", "", ""),
    Finding("slice", "carrier=UA", Severity.INFO, "The worst part is carrier = UA", "2013-12-01", "", "", "nothing"),
)
Opened = Callable[..., Page]


@pytest.fixture
def name() -> str:
    return f"flights-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def ids(stack: Settings, name: str) -> Iterator[list[str]]:
    """Open three alerts of a use case; their ids, the gravest first."""
    engine = sa.create_engine(secrets(stack).databases["monitoring"])
    board = Desk(engine).report(name, FOUND, examined=("loss", "drift", "slice"), policy=Alerts())
    yield [alert.id for alert in board.of(name)]
    engine.dispose()


@pytest.fixture
def opened(server: Server, browser: Browser) -> Iterator[Opened]:
    contexts = []

    def start(user: str, path: str, *, width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(
            http_credentials={"username": user, "password": server.known.users[user]},
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda fault: pytest.fail(str(fault)))
        page.goto(server.where.mlflow_url + path)
        return page

    yield start
    for context in contexts:
        context.close()


def test_what_is_open_is_listed_the_gravest_first_and_escaped(server: Server, name: str, ids: list[str]) -> None:
    page = server.call("olga", "GET", f"/flywheel/alerts?usecase={name}")
    assert page.status_code == 200
    places = [page.text.index(f'id="alert-{one}"') for one in ids]
    assert places == sorted(places)
    assert "<h2>Log-loss &lt;b&gt;is&lt;/b&gt; high.</h2>" in page.text
    assert '<a href="http://mlflow/#/1">In MLflow</a>' in page.text
    assert "3 of " in page.text
    only = server.call("olga", "GET", f"/flywheel/alerts?usecase={name}&severity=info").text
    assert [one in only for one in ids] == [False, False, True]


def test_who_may_not_answer_sees_no_button_and_who_may(server: Server, name: str, ids: list[str]) -> None:
    mine, theirs = (server.call(who, "GET", f"/flywheel/alerts?usecase={name}").text for who in ("olga", "vic"))
    assert mine.count('data-saying="acknowledge"') == len(ids)
    assert "data-saying" not in theirs.partition("<script")[0]
    assert "Who may answer them:" in theirs
    assert "olga" in theirs


def test_a_stranger_is_asked_for_a_login_and_an_unknown_severity_is_refused(server: Server) -> None:
    assert server.call(None, "GET", "/flywheel/alerts").status_code == 401
    answer = server.call("olga", "GET", "/flywheel/alerts?severity=dire")
    assert answer.status_code == 400
    assert "There is no severity" in answer.text


@NOBODY
def test_an_operator_acknowledges_silences_and_closes_on_the_page(
    server: Server, name: str, ids: list[str], opened: Opened
) -> None:
    page = opened("olga", f"/flywheel/alerts?usecase={name}")
    first = page.locator(f"#alert-{ids[0]}")
    first.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#answer")).to_have_text("Write why first.")
    first.get_by_role("textbox").fill("the sensor is on its way")
    first.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#answer")).to_have_text("It is known now.")
    expect(first.get_by_text("known by olga")).to_be_visible()
    second = page.locator(f"#alert-{ids[1]}")
    second.get_by_role("textbox").fill("we move")
    second.get_by_role("button", name="Silence").click()
    expect(page.locator("#answer")).to_have_text("It is silenced.")
    third = page.locator(f"#alert-{ids[2]}")
    third.get_by_role("textbox").fill("on purpose")
    third.get_by_role("button", name="Close").click()
    expect(third).to_have_count(0)
    said = {EventKind.ALERT_ACKNOWLEDGED, EventKind.ALERT_SILENCED, EventKind.ALERT_CLOSED}
    assert [event.kind for event in server.events(name) if event.kind in said] == [
        EventKind.ALERT_ACKNOWLEDGED,
        EventKind.ALERT_SILENCED,
        EventKind.ALERT_CLOSED,
    ]


@NOBODY
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True), (400, False)])
def test_the_page_fits_and_is_read_easily(name: str, ids: list[str], opened: Opened, *, width: int, dark: bool) -> None:
    page = opened("olga", f"/flywheel/alerts?usecase={name}", width=width, dark=dark)
    expect(page.locator(".alert")).to_have_count(len(ids))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(PALE % AA) == []
