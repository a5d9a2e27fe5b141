"""Every command that an alert prints is typed on a real stack, and shows what the alert is about."""

import json
import shlex
from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from flywheel.alerts import Finding
from flywheel.cli import build_app
from flywheel.records import OUTCOMES
from flywheel.settings import Settings
from flywheel.storage import append_outcomes
from tests.monitoring.look.test_look import DAY, LIVE, World

Typed = Callable[[str], str]


@pytest.fixture(autouse=True)
def _no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.reports.process.sys.executable", "/bin/false")


@pytest.fixture
def world(stack: Settings) -> World:
    return World(stack)


@pytest.fixture
def typed(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("FLYWHEEL_HOME", str(stack.root))

    def run(command: str) -> str:
        program, *words = shlex.split(command)
        assert program == "flywheel", command
        result = CliRunner().invoke(build_app(), words)
        assert result.exit_code == 0, f"{command}: {result.output}"
        return result.output

    return run


def of_kind(world: World, kind: str, as_of: int) -> Finding:
    found = world.look(LIVE + as_of * DAY)
    return next(one.finding for one in found.alerts if one.finding.kind == kind)


def test_a_column_that_vanished_shows_rows_without_it(world: World, typed: Typed) -> None:
    world.fly(LIVE, 10)
    world.fly(LIVE + 10 * DAY, 4, missing=1.0)
    said = typed(of_kind(world, "columns", 15).look_at)
    assert said.startswith(f"240 of 240 rows of {world.name} from 2013-04-11 to 2013-04-15, the oldest first.")
    assert "'distance': 100.0% missing. In training: 0.0% missing; median 49" in said
    (one,) = [line for line in said.splitlines() if line.startswith("One of them whole: ")]
    shown = typed(one.removeprefix("One of them whole: "))
    assert "distance" not in json.loads(shown[shown.index("\n{") if shown[0] != "{" else 0 :])["inputs"]


def test_drift_shows_the_column_beside_training_and_a_slice_the_rows_with_the_greatest_loss(
    world: World, typed: Typed
) -> None:
    world.fly(LIVE, 14)
    world.fly(LIVE + 14 * DAY, 10, distance=600, late=0.7)
    found = world.look(LIVE + 25 * DAY)
    drift = next(one.finding for one in found.alerts if one.finding.key.startswith("distance mean"))
    said = typed(drift.look_at)
    assert "'distance': 0.0% missing; median 5" in said or "'distance': 0.0% missing; median 6" in said
    loss = next(one.finding for one in found.alerts if one.finding.kind == "loss")
    lines = typed(loss.look_at).splitlines()
    assert "those with the greatest loss first" in lines[0]
    assert lines[2].split()[-1] == "1.204"  # -ln 0.3: late, and told .3


def test_rows_by_when_their_outcomes_became_known_are_those_of_the_day_before(world: World, typed: Typed) -> None:
    world.fly(LIVE, 3)  # outcomes come a day later
    start, end = LIVE + 2 * DAY, LIVE + 3 * DAY
    said = typed(
        f"flywheel rows {world.file} --start {start:%Y-%m-%d} --end {end:%Y-%m-%d} --by known --json --limit 100"
    )
    times = [row["event_time"][:10] for row in json.loads(said)["rows"]]
    assert set(times) == {f"{LIVE + DAY:%Y-%m-%d}"}


def test_odd_outcomes_are_shown_report_by_report(world: World, typed: Typed) -> None:
    world.fly(LIVE, 14)
    said = {"outcome": 1.0, "event_time": LIVE + DAY, "time_known": LIVE + 2 * DAY}
    strangers = [{"entity": f"stranger-{number}", **said} for number in range(40)]
    rows = pl.from_arrow(pa.Table.from_pylist(strangers, schema=OUTCOMES))
    assert isinstance(rows, pl.DataFrame)
    append_outcomes(world.settings.root / "log", world.name, rows)
    shown = typed(of_kind(world, "outcomes", 15).look_at)
    assert shown.startswith("40 reports of outcomes are odd (unknown), the newest first. The first 20:")
    assert shown.count("stranger-") == 20
    assert "log find" not in shown  # nobody was answered about them


def test_a_part_that_failed_is_tried_again(world: World, typed: Typed) -> None:
    world.fly(LIVE, 14)
    for folder in (world.settings.root / "packages" / world.name).glob("1-*"):
        if folder.is_dir():
            (folder / "artifacts" / "package" / "blocks").write_bytes(b"damaged")
    failed = of_kind(world, "look", 15)
    assert "could not be judged" in failed.what
    typed(failed.look_at)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "--column nowhere",
            "The rows have no column 'nowhere'. They have: prediction, label, loss, scheduled, distance.",
        ),
        ("--missing", "--missing asks for rows without a value of some column. Name it with --column."),
        ("--having distance", "--having 'distance' is no COLUMN=VALUE. Write one like carrier=UA."),
        ("--start 2012-01-01 --end 2012-01-02", "answered nothing from 2012-01-01 to 2012-01-02."),
        ("--start later", "--start 'later' is no time."),
    ],
)
def test_wrong_use_is_one_sentence(world: World, monkeypatch: pytest.MonkeyPatch, words: str, says: str) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(world.settings.root))
    world.fly(LIVE, 2)
    between = "" if "--start" in words else "--start 2013-04-01 --end 2013-04-03"
    result = CliRunner().invoke(build_app(), ["rows", str(world.file), *shlex.split(between), *shlex.split(words)])
    assert result.exception is not None
    assert says in str(result.exception)
