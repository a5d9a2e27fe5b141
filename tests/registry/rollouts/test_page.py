"""The rollout pages on the real server: what stands on them, who gets buttons, what a browser may do with them."""

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from flywheel.connections import secrets
from flywheel.events import EventKind
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from tests.registry.commands import run
from tests.registry.conftest import Server
from tests.registry.review.test_browser import PALE
from tests.registry.rollouts.conftest import Controller, copied
from tests.registry.rollouts.worlds import chain

Opened = Callable[..., Page]
needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")


@pytest.fixture(scope="module")
def rich(
    server: Server, controller: Controller, stack: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """A model with a first version and a rollout that went live with all that can be shown; and that rollout's name."""
    engine = sa.create_engine(secrets(stack).databases["server"])
    name = copied(server, controller, engine, chain(tmp_path_factory.mktemp("rich")))
    engine.dispose()
    return name.rpartition("-v2-")[0], name


@pytest.fixture
def opened(server: Server, browser: Browser) -> Iterator[Opened]:
    """Open a path of the server as a user; an error of a script fails the test."""
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
        page.on("console", lambda said: pytest.fail(said.text) if "Content Security" in said.text else None)
        page.goto(server.where.mlflow_url + path)
        return page

    yield start
    for context in contexts:
        context.close()


def page_of(server: Server, user: str, path: str, status: int = 200) -> str:
    answer = server.call(user, "GET", f"/flywheel/rollouts/{path}")
    assert answer.status_code == status, answer.text
    return answer.text


def test_the_list_shows_rollouts_the_newest_first_with_where_they_stand(server: Server, rich: tuple[str, str]) -> None:
    model, name = rich
    text = page_of(server, "vic", model)
    first = name.replace("-v2-", "-v1-").replace("0002-1", "0001-1")
    places = [text.index(f"/flywheel/rollouts/{model}/{one}") for one in (name, first)]
    assert places == sorted(places)
    assert text.count("Live") == text.count("Replaced by version 2") == 1
    assert "Replaced by version 2" in page_of(server, "vic", f"{model}/{first}")
    assert "Replaced" not in page_of(server, "vic", f"{model}/{name}")


def test_the_page_says_versions_digests_plan_evidence_and_who_did_what(server: Server, rich: tuple[str, str]) -> None:
    model, name = rich
    text = page_of(server, "vic", f"{model}/{name}")
    for said in (
        f"sha256:{2:064x}",
        f"sha256:{1:064x}",
        "shadow → 1 % → 5 % → 25 % → 50 % → 100 %",
        "shadow 0.0086, traffic 0.024",
        "ada asks what the spike at 12:04 was",
        "paused the rollout",
        "requests to the canary failed",
        "Ratio of error rates",
        "All gates are open",
    ):
        assert said in text, said
    assert len(re.findall(r'<div class="plot', text)) == 1 + 2 + 2 + 1


def test_only_who_may_operate_gets_buttons_and_only_what_may_be_said(server: Server, going: str) -> None:
    path = f"{going}/{going}-v2-bbbbbbbb-1"
    sayings = {user: re.findall(r'data-saying="(\w+)"', page_of(server, user, path)) for user in ("olga", "ada", "vic")}
    assert sayings == {"olga": ["pause", "allow"], "ada": [], "vic": []}
    server.call("olga", "POST", f"/flywheel/api/rollouts/{going}/pause", json={"because": "fog"})
    text = page_of(server, "olga", path)
    assert re.findall(r'data-saying="(\w+)"', text) == ["resume", "allow"]
    assert "Paused by olga: fog" in text


def test_what_is_not_there_is_said_and_strangers_are_asked_for_a_login(server: Server, model: str) -> None:
    assert "No rollout yet" in page_of(server, "vic", model)
    assert "no rollout &#39;x&#39;" in page_of(server, "vic", f"{model}/x", 404)
    page_of(server, "vic", "nowhere", 404)
    assert server.call(None, "GET", f"/flywheel/rollouts/{model}").status_code == 401


def test_a_record_that_cannot_be_read_is_said_with_its_event(
    server: Server, model: str, controller: Controller
) -> None:
    server.register(model)
    controller.record(EventKind.ROLLOUT_STARTED, f"{model}/1", rollout="odd", version="1", digest="", champion=None)
    for path in (model, f"{model}/odd"):
        assert "tells of no rollout" in page_of(server, "vic", path, 500)
    refused = server.call("olga", "POST", f"/flywheel/api/rollouts/{model}/pause", json={"because": "x"})
    assert (refused.status_code >= 400, "tells of no rollout" in refused.text) == (True, True)


def test_what_people_wrote_is_text_and_never_markup(server: Server, going: str) -> None:
    server.call("olga", "POST", f"/flywheel/api/rollouts/{going}/pause", json={"because": "<script>alert(1)</script>"})
    for path in (going, f"{going}/{going}-v2-bbbbbbbb-1"):
        assert "<script>alert" not in page_of(server, "olga", path)
    report = server.call("vic", "GET", f"/flywheel/api/rollouts/{going}/report").json()["html"]
    assert "<script" not in report
    assert "&lt;script&gt;alert" in report


def test_who_withdrew_a_version_during_its_rollout_and_why_stand_on_the_page_and_in_the_list(
    server: Server, model: str, controller: Controller
) -> None:
    for _ in range(2):
        version = server.register(model)
        assert server.move("grace", model, version, "Production").status_code == 200
        if version == "1":
            alias = {"name": model, "alias": "champion", "version": version}
            assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    name = controller.start(model, "2")
    controller.change(EventKind.ROLLOUT_STEP, name, "intent", "done", step=0, percent=10)
    asked = {"reason": "support is <b>flooded</b>"}
    assert server.call("grace", "POST", f"/flywheel/api/rollback/{model}", json=asked).status_code == 200
    controller.change(EventKind.ROLLOUT_ROLLED_BACK, name, "intent", "done", cause="withdrawn")
    for path in (model, f"{model}/{name}"):
        text = page_of(server, "vic", path)
        assert "Taken back by people" in text
        assert re.search("grace(</strong>)? moved version 2 from Production to Archived", text)
        assert "Rolled back to version 1: support is &lt;b&gt;flooded&lt;/b&gt;" in text
    text = page_of(server, "vic", f"{model}/{name}")
    story = text[text.index('id="story"') :]
    assert story.index("rolled it back") < story.index("moved version 2") < story.index("took the rollout a step")
    (found,) = server.call("vic", "GET", f"/flywheel/api/rollouts/{model}").json()["rollouts"]
    assert (found["standing"], found["withdrawn"]["by"]) == ("Taken back by people", "grace")


@pytest.mark.usefixtures("home")
def test_the_list_of_the_command_says_what_a_rollout_waits_for(
    server: Server, going: str, controller: Controller
) -> None:
    assert "Canary, 10 %. The step to 50 % waits for the evidence" in run("rollouts", "list", going, "--user", "vic")
    server.call("olga", "POST", f"/flywheel/api/rollouts/{going}/pause", json={"because": "fog"})
    said = run("rollouts", "list", going, "--user", "vic")
    assert f"Canary, paused, 10 %. Paused by olga: fog. `flywheel resume {going}` lets it go on." in said
    controller.change(EventKind.ROLLOUT_ROLLED_BACK, f"{going}-v2-bbbbbbbb-1", "intent", "done", cause="verdict")
    assert run("rollouts", "list", going, "--user", "vic").endswith("Rolled back. It answers.\n")


@needs_chromium
@pytest.mark.parametrize("width", [1280, 400])
def test_a_long_path_in_a_reason_wraps(
    server: Server, going: str, controller: Controller, opened: Opened, width: int
) -> None:
    name, where = f"{going}-v2-bbbbbbbb-1", f"/var/lib/flywheel/environments/{'2d7f' * 40}/bin/python"
    for state in ("intent", "done"):
        told = {"rollout": name, "state": state, "reason": f"{where} ended with 1.", "cause": "start"}
        controller.record(EventKind.ROLLOUT_ROLLED_BACK, f"{going}/2", None, **told)
    for path in (going, f"{going}/{name}"):
        page = opened("vic", f"/flywheel/rollouts/{path}", width=width)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        cut = "(one) => one.scrollWidth > one.clientWidth"
        assert page.evaluate(f"[...document.querySelectorAll('aside, .card, p, .sub')].filter({cut}).length") == 0
        page.context.close()


@needs_chromium
def test_an_operator_pauses_and_resumes_by_keyboard_and_must_say_why(
    server: Server, going: str, opened: Opened
) -> None:
    page = opened("olga", f"/flywheel/rollouts/{going}/{going}-v2-bbbbbbbb-1")
    page.get_by_role("button", name="Pause").press("Enter")
    expect(page.locator("#answer")).to_have_text("Write why first.")
    assert page.evaluate("document.activeElement.id") == "because"
    page.keyboard.type("the airport is closed")
    page.get_by_role("button", name="Pause").press("Enter")
    expect(page.locator("#answer")).to_have_text("You paused it.")
    page.locator("#because").fill("it is open again")
    page.get_by_role("button", name="Resume").press("Enter")
    expect(page.locator("#answer")).to_have_text("It goes on.")
    said = [(one.actor, one.body["reason"]) for one in server.events(going) if one.actor == "olga"]
    assert said == [("olga", "the airport is closed"), ("olga", "it is open again")]


@needs_chromium
def test_a_refusal_is_shown_as_the_servers_sentence(
    server: Server, going: str, controller: Controller, opened: Opened
) -> None:
    name = f"{going}-v2-bbbbbbbb-1"
    page = opened("olga", f"/flywheel/rollouts/{going}/{name}")
    controller.change(EventKind.ROLLOUT_ROLLED_BACK, name, "intent", cause="verdict")
    page.locator("#because").fill("too late")
    page.get_by_role("button", name="Promote a step").click()
    expect(page.locator("#answer")).to_contain_text("is rolling back already")


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_pages_fit_their_width_and_every_text_is_seen(
    rich: tuple[str, str], opened: Opened, width: int, dark: bool
) -> None:
    model, name = rich
    for path in (model, f"{model}/{name}"):
        page = opened("olga", f"/flywheel/rollouts/{path}", width=width, dark=dark)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(PALE % 4.5) == []
        page.context.close()


@needs_chromium
def test_a_mark_on_the_time_line_leads_to_what_happened_by_keyboard(rich: tuple[str, str], opened: Opened) -> None:
    model, name = rich
    page = opened("vic", f"/flywheel/rollouts/{model}/{name}")
    mark = page.locator(".marks a").nth(1)
    mark.press("Enter")
    target = (mark.get_attribute("href") or "").lstrip("#")
    assert page.evaluate("document.activeElement.id") == target or page.url.endswith(f"#{target}")
    expect(page.locator(f"#{target}")).to_be_in_viewport()


@needs_chromium
def test_mlflows_version_page_and_the_review_lead_to_the_rollouts(
    rich: tuple[str, str], opened: Opened, server: Server
) -> None:
    model, _ = rich
    page = opened("vic", f"/flywheel/review/{model}/2")
    page.get_by_role("link", name="Rollouts").first.click()
    expect(page).to_have_url(f"{server.where.mlflow_url}/flywheel/rollouts/{model}")
