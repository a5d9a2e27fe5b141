"""The pages in a real browser: a reviewer's whole path by keyboard, refusals as people see them, sizes and colours."""

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect

from flywheel.events import EventKind

if TYPE_CHECKING:
    from tests.registry.conftest import Server

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
Opened = Callable[..., Page]
SECTIONS = ["gates", "metrics", "slices", "plots", "data", "parameters", "code", "comments", "story"]
AA = 4.5  # WCAG 2.2, contrast of text

# Contrast of every text against the nearest ground behind it; whatever is below AA.
PALE = """() => {
  const parse = (c) => { const p = c.match(/[\\d.]+/g).map(Number); return p.length < 4 ? [...p, 1] : p; };
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) { return c; } } return [255, 255, 255, 1]; };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest("svg, :disabled, script")) { continue; }
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < %s) { found.push(`${e.className} ${e.textContent.trim().slice(0, 40)}`); }
  }
  return found; }"""


@pytest.fixture
def opened(server: "Server", browser: Browser) -> Iterator[Opened]:
    """Open a path of the server as a user, in a browser that has never been there."""
    contexts = []

    def start(user: str, path: str, *, width: int = 1280, dark: bool = False) -> Page:
        login = {"username": user, "password": server.known.users[user]}
        context = browser.new_context(
            http_credentials=login,  # type: ignore[arg-type]
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(45_000)  # the first plot took 20 s on a busy machine
        page.on("pageerror", lambda fault: pytest.fail(str(fault)))
        page.goto(server.where.mlflow_url + path)
        return page

    yield start
    for context in contexts:
        context.close()


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until what has the focus has this text, as a reader without a mouse would."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == wanted:
            return
    pytest.fail(f"Tab never comes to '{wanted}'")


def test_a_reviewer_needs_no_mouse_from_mlflows_page_to_production(
    server: "Server", told: tuple[str, str, str], opened: Opened
) -> None:
    model, _, candidate = told
    page = opened("grace", f"/#/models/{model}/versions/{candidate}")
    expect(page.get_by_text("Stage:")).to_be_visible()  # of the legacy page, which has the control
    expect(page.locator("#flywheel-review-link")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.where.mlflow_url}/flywheel/review/{model}/{candidate}")
    page.keyboard.press("c")
    page.keyboard.type("Rain is gone; ask for it? jk")  # letters that are shortcuts elsewhere
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_have_text("Your comment is kept.")
    expect(page.locator("#comments")).to_contain_text("Rain is gone; ask for it? jk")
    page.keyboard.press("a")
    page.keyboard.type("Good.")
    expect(page.locator("#send")).to_have_text("Approve")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_have_text("You approved it.")
    tab_to(page, "Move to Production")
    page.keyboard.press("Enter")
    expect(page.locator("#decision-title")).to_have_text("In Production")
    assert server.version(model, candidate)["current_stage"] == "Production"
    said = server.events(model, EventKind.REVIEW_APPROVED)
    assert [(event.actor, event.body["comment"]) for event in said] == [("grace", "Good.")]


def test_the_list_of_models_shows_stages_and_offers_nobody_to_do_without(
    server: "Server", model: str, opened: Opened
) -> None:
    for _ in range(26):  # one more than a page of the list holds
        server.model(prefix="another")
    page = opened("grace", "/#/models")
    expect(page.get_by_role("columnheader", name="Production")).to_be_visible()
    page.get_by_placeholder("Search registered models").fill(model)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name=model)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_author_is_told_why_not_on_the_page_and_by_mlflow_itself(
    server: "Server", model: str, opened: Opened
) -> None:
    version = server.register(model)
    page = opened("ada", f"/flywheel/review/{model}/{version}")
    assert page.get_by_label("Approve").is_disabled()
    page.keyboard.press("a")
    expect(page.locator("#answer")).to_contain_text("its author may not")
    page.goto(f"{server.where.mlflow_url}/#/models/{model}/versions/{version}")
    page.locator(".mlflow-stage-transition-dropdown").click()
    page.get_by_text("Production", exact=True).last.click()
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_text("its author may not approve it (four eyes)")).to_be_visible()
    assert server.version(model, version)["current_stage"] == "None"


def test_a_refusal_of_the_server_is_shown_as_its_sentence(server: "Server", model: str, opened: Opened) -> None:
    version = server.register(model)
    page = opened("grace", f"/flywheel/review/{model}/{version}")
    page.keyboard.press("r")
    expect(page.locator("#send")).to_have_text("Reject")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_contain_text("needs a comment")
    assert server.events(model, EventKind.REVIEW_REJECTED) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_and_is_read_easily(told: tuple[str, str, str], opened: Opened, width: int, dark: bool) -> None:
    review = "/flywheel/review/"
    pages = (
        f"{review}{told[0]}/{told[2]}",
        review,
        f"{review}nothing/1",
        "/flywheel/policy",
        f"/flywheel/history/{told[0]}",
    )
    for path in pages:
        page = opened("grace", path, width=width, dark=dark)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        assert page.evaluate(PALE % AA) == [], path
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) < 150) == dark


def test_a_bar_of_sections_that_goes_on_fades_out_and_its_end_can_be_read(
    told: tuple[str, str, str], opened: Opened
) -> None:
    page = opened("grace", f"/flywheel/review/{told[0]}/{told[2]}", width=400)
    bar = page.locator("nav.sections")
    assert bar.evaluate("(bar) => bar.scrollWidth > bar.clientWidth")
    assert "linear-gradient" in bar.evaluate("(bar) => getComputedStyle(bar).maskImage")
    bar.evaluate("(bar) => { bar.scrollLeft = bar.scrollWidth; }")
    clear = "(bar) => bar.getBoundingClientRect().right - bar.lastElementChild.getBoundingClientRect().right"
    assert bar.evaluate(clear) >= 50  # the last one stands left of what fades
    wide = opened("grace", f"/flywheel/review/{told[0]}/{told[2]}")
    assert wide.locator("nav.sections").evaluate("(bar) => getComputedStyle(bar).maskImage") == "none"


def test_keys_lead_through_the_sections_and_the_help(told: tuple[str, str, str], opened: Opened) -> None:
    page = opened("grace", f"/flywheel/review/{told[0]}/{told[2]}")
    focused = "document.activeElement.closest('.section')?.id"
    for wanted in SECTIONS:
        page.keyboard.press("j")
        assert page.evaluate(focused) == wanted
    page.keyboard.press("k")
    assert page.evaluate(focused) == SECTIONS[-2]
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("j")  # no shortcut below the help
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    assert page.evaluate(focused) == SECTIONS[-2]


def test_the_first_tab_skips_to_the_content_and_focus_is_seen(told: tuple[str, str, str], opened: Opened) -> None:
    page = opened("grace", f"/flywheel/review/{told[0]}/{told[2]}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_plots_come_through_mlflows_own_route_when_they_are_near(told: tuple[str, str, str], opened: Opened) -> None:
    page = opened("grace", f"/flywheel/review/{told[0]}/{told[2]}")
    assert page.locator("figure img:not([loading=lazy])").count() == 0
    picture = page.locator("#plots img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 1, timeout=45_000)
