"""The commands, as people and programs call them."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner, Result

from deploy.cli import app
from deploy.experiments.documents import judge_experiment, parse_plan
from flywheel.errors import UsageError
from tests.deploy.experiments.worlds import document, table

RAILS = {"latency_ms": {"measure": {"kind": "latency"}, "margin": 3}}
WORTH = {"units_per_month": 300_000, "serving": {"per_hour": 0.4}, "once": 20_000}
FULL = document(guardrails=RAILS, covariate={}, expected={"mean": 14.0, "deviation": 7.5, "correlation": 0.7})
FULL["return"] = WORTH


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path / "home"))
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(FULL))
    table(6000, 0.8).write_parquet(tmp_path / "units.parquet")
    return tmp_path


def call(folder: Path, command: str, *arguments: str, data: str | None = "units.parquet") -> Result:
    given = ["--data", str(folder / data)] if data is not None else []
    wanted = ["experiment", command, str(folder / "experiment.yaml"), *given, *arguments]
    return CliRunner().invoke(app, wanted, catch_exceptions=False)


def test_the_report_says_the_verdict_first_and_ends_with_its_code(folder: Path) -> None:
    shown = call(folder, "report")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("promote (look 100): challenger gains ")
    for part in ("champion ", "latency_ms holds: worse by ", "shares     as planned", "are paid back in"):
        assert part in shown.stdout


@pytest.mark.parametrize(("lift", "code", "word"), [(-0.8, 3, "roll back"), (0.0, 4, "not yet")])
def test_the_other_verdicts_have_their_codes(folder: Path, lift: float, code: int, word: str) -> None:
    table(6000, lift).write_parquet(folder / "units.parquet")
    shown = call(folder, "report")
    assert (shown.exit_code, shown.stdout.split(" (")[0]) == (code, word)


def test_a_csv_and_a_parquet_of_the_same_units_say_the_same(folder: Path) -> None:
    table(6000, 0.8).write_csv(folder / "units.csv")
    found = [json.loads(call(folder, "report", "--json", data=f"units.{kind}").stdout) for kind in ("csv", "parquet")]
    assert found[0] == found[1]


def test_the_json_holds_plan_numbers_path_and_return(folder: Path) -> None:
    found = json.loads(call(folder, "report", "--json", "--looks", "20").stdout)
    assert found["plan"]["shares"] == {"champion": 50, "challenger": 50}
    gain = found["judgement"]["arms"][1]["gain"]
    assert gain["low"] < 0.8 < gain["high"]
    assert len(found["path"]) == 20
    assert found["path"][-1]["gains"]["challenger"] == [gain["estimate"], gain["low"], gain["high"]]
    assert found["return"][0]["gain"][0] == pytest.approx(300_000 * gain["estimate"])
    assert parse_plan(found["plan"], "The plan") == parse_plan(FULL, "The plan")


def test_the_json_is_a_record_that_is_judged_to_the_same_numbers_again(folder: Path) -> None:
    found = json.loads(call(folder, "report", "--json", "--looks", "9").stdout)
    assert judge_experiment(found["plan"], found["looks"]) == found["judgement"]


def test_the_roi_is_that_of_the_report(folder: Path) -> None:
    alone = json.loads(call(folder, "roi", "--json").stdout)
    assert alone[0]["net"] == pytest.approx(json.loads(call(folder, "report", "--json").stdout)["return"][0]["net"])
    shown = call(folder, "roi")
    assert shown.exit_code == 0
    assert "challenger: return " in shown.stdout


def test_shares_that_are_not_as_planned_show_no_gain_and_no_return(folder: Path) -> None:
    units = table(6000, 0.8)
    units.filter((pl.col("arm") == "champion") | (pl.int_range(pl.len()) % 5 > 0)).write_parquet(
        folder / "units.parquet"
    )
    shown = call(folder, "report", "--html", str(folder / "report.html"))
    assert shown.exit_code == 4
    assert shown.stdout.count("No conclusion: ") == 1
    assert "EUR" not in shown.stdout
    assert "interval over" not in (folder / "report.html").read_text()
    assert "<svg" not in (folder / "report.html").read_text()
    with pytest.raises(UsageError, match="No conclusion"):
        call(folder, "roi")


def test_a_page_that_cannot_be_written_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"absent/report.html cannot be written"):
        call(folder, "report", "--html", str(folder / "absent" / "report.html"))


def test_the_plan_says_how_long_and_how_much(folder: Path) -> None:
    shown = call(folder, "plan", "--units-per-day", "500", data=None)
    assert shown.exit_code == 0
    assert "the least number of units is there after 0.4 days" in shown.stdout
    found = json.loads(call(folder, "plan", "--units-per-day", "500", "--json", data=None).stdout)
    assert found[0]["arm"] == "challenger"


@pytest.mark.parametrize(
    ("file", "data", "sentence"),
    [
        ("shares: {a: 50, a: 50}", "units.parquet", "is no YAML: .*key 'a' is there twice"),
        ("- 1", "units.parquet", "experiment.yaml: it must be a mapping of keys. Correct it."),
        ("name: x", "units.parquet", "experiment.yaml: key 'metric' is missing. Add it."),
        (None, "absent.csv", "absent.csv cannot be read"),
        (None, "experiment.yaml", "unknown kind"),
        (None, "broken.parquet", "broken.parquet is no parquet"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(folder: Path, file: str | None, data: str, sentence: str) -> None:
    (folder / "broken.parquet").write_text("no")
    if file is not None:
        (folder / "experiment.yaml").write_text(file)
    with pytest.raises(UsageError, match=sentence) as refused:
        call(folder, "report", data=data)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


class Tags(HTMLParser):
    """Collects what a page asks others for, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value and value != "data:,"]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_in_itself_and_shows_names_as_they_are(folder: Path) -> None:
    hostile = FULL | {"name": "<script>alert(1)</script>"}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(hostile))
    call(folder, "report", "--html", str(folder / "report.html"))
    text = (folder / "report.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert (tags.fetched, tags.open) == ([], [])
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert re.search(r"<polygon class=\"band arm0\" points=\"[\d., -]+\"", text)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_the_page_fits_a_desk_and_a_phone_in_light_and_dark(folder: Path) -> None:
    three = FULL | {"shares": {"champion": 34, "second": 33, "challenger-with-a-long-name": 33}}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(three))
    arms = ("champion", "second", "challenger-with-a-long-name")
    table(6000, 0.8, arms=arms).write_parquet(folder / "units.parquet")
    call(folder, "report", "--html", str(folder / "report.html"))
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width in (1280, 400):
            for scheme in ("light", "dark"):
                seen = _seen(browser, folder / "report.html", width, scheme)
                assert seen == (width, {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme])
        browser.close()


def _seen(browser: Any, page: Path, width: int, scheme: str) -> tuple[int, str]:
    """Return how wide the page is, and the colour of its ground."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened = context.new_page()
    opened.goto(page.as_uri())
    found = opened.evaluate("[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]")
    context.close()
    return found[0], found[1]
