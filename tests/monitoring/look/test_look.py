"""A whole look on a running stack: blocks, drift, windows, losses, inputs, alerts, metrics, the decision to train."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy as sa
import yaml

from flywheel.alerts import read_board
from flywheel.connections import secrets
from flywheel.digest import folder_digest
from flywheel.events import EventKind, append, read
from flywheel.identities import MONITORING
from flywheel.package import INSIDE
from flywheel.profile import Reference
from flywheel.profiling.series_file import series_bytes
from flywheel.records import OUTCOMES
from flywheel.settings import Settings
from flywheel.storage import append_outcomes
from flywheel.textfile import TextfileCollector
from flywheel.usecase import load_usecase, parse_usecase
from monitoring.drift.decision import Verdict
from monitoring.drift.plot import draw
from monitoring.job import Result
from monitoring.look.again import unchanged
from monitoring.look.by_hand import check
from monitoring.look.kept import path_of, read_kept
from monitoring.look.look import look
from monitoring.look.looked import Looked
from monitoring.look.parts import Begin, Part, silent
from monitoring.look.told import lines
from monitoring.look.trail import evidence_before
from monitoring.reports.process import ReportProcess
from monitoring.reports.publication import Check
from monitoring.windows.window import Span
from tests.monitoring.flights_log import CONTRACT, Flight, write_log
from tests.monitoring.flights_package import USE_CASE, sign, write_model
from training.checks.profiling import profile_data
from training.packaging.blocks import reference_blocks

BEGIN, LIVE, DAY = datetime(2013, 1, 1), datetime(2013, 4, 1), timedelta(days=1)
PER_DAY = 60
FEATURES = (
    "import polars as pl\n\n\ndef features(frame: pl.DataFrame) -> pl.DataFrame:\n    return frame.select('distance')\n"
)


class World:
    """A use case of its own with a version that was trained on ninety days."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.name = settings, f"look-{uuid.uuid4().hex[:8]}"
        self.random, self.turn = np.random.default_rng(7), 0
        document = USE_CASE | {"name": self.name, "evaluate": {"slices": ["distance"]}}
        document["monitor"] = {"min_outcomes": 100, "retrain": {"margin": 0.02, "harm": {"windows": 1, "of": 1}}}
        self.folder = settings.root / self.name
        self.folder.mkdir()
        (self.folder / "MLproject").write_text("name: test\n")
        self.file = self.folder / "usecase.yaml"
        self.file.write_text(yaml.safe_dump(document))
        package = write_model(
            settings.root / "packages" / self.name / "1-new",
            Reference(loss=0.611, standard_error=0.005, rows=1000, roc_auc=0.5),
            document,
        )
        _fill(package / INSIDE, self.random)
        self.digest = folder_digest(package)
        sign(settings.root, package.rename(package.with_name(f"1-{self.digest.removeprefix('sha256:')[:12]}")))

    def fly(self, first: datetime, days: int, *, distance: float = 500, late: float = 0.3, missing: float = 0) -> None:
        """Let days of flights be predicted, whose outcomes come a day later."""
        flights = []
        for number in range(days * PER_DAY):
            gone = self.random.uniform() < missing
            flights.append(
                Flight(
                    entity=f"{first:%m%d}-{number}",
                    time=first + DAY * (number / PER_DAY),
                    outcome=float(self.random.uniform() < late),
                    distance=None if gone else float(self.random.normal(distance, 100)),
                )
            )
        self.turn += 1
        write_log(self.settings.root / "log", flights, digest=self.digest, name=self.name, turn=self.turn)

    def look(self, as_of: datetime, *, start_training: bool = False, begin: Begin = silent) -> Looked:
        told: list[Result] = []

        def tell(_: Span, result: Result) -> None:
            told.append(result)

        found = look(
            self.settings, self.file, since=None, as_of=as_of, start_training=start_training, tell=tell, begin=begin
        )
        assert [result for _, result in found.windows] == told
        return found

    def kinds(self, found: Looked) -> list[str]:
        return sorted({alert.finding.kind for alert in found.alerts})


def _fill(inside: Path, random: np.random.Generator) -> None:
    """Add what training writes: features, profile, sample and blocks."""
    rows = 90 * PER_DAY
    times = pl.Series("scheduled", [BEGIN + DAY * (number / PER_DAY) for number in range(rows)], pl.Datetime("us"))
    frame = pl.DataFrame(
        {
            "scheduled": times,
            "distance": random.normal(500, 100, rows),
            "late": (random.uniform(size=rows) < 0.3).astype(float),
        }
    )
    (inside / "features.py").write_text(FEATURES)
    (inside / "data_profile.json").write_text(profile_data(frame, CONTRACT, "scheduled").model_dump_json())
    use_case = parse_usecase(USE_CASE | {"name": "look"}, "test")
    answers = frame.tail(14 * PER_DAY).select("scheduled", prediction=pl.lit(0.3))
    blocks = reference_blocks(frame, CONTRACT, use_case, answers)
    (inside / "blocks").write_bytes(series_bytes(blocks))
    sample = frame.tail(300).with_columns(prediction=pl.lit(0.3), label=pl.col("late").cast(pl.Int8)).drop("late")
    sample.write_parquet(inside / "reference.parquet")


@pytest.fixture(autouse=True)
def _no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidently takes ten seconds a window: test_job.py waits for it, and nothing here depends on it."""
    monkeypatch.setattr("monitoring.reports.process.sys.executable", "/bin/false")


@pytest.fixture
def world(stack: Settings) -> World:
    return World(stack)


@pytest.fixture
def engine(stack: Settings) -> Iterator[sa.Engine]:
    made = sa.create_engine(secrets(stack).databases["monitoring"])
    yield made
    made.dispose()


def told(engine: sa.Engine, name: str) -> Sequence[str]:
    with engine.connect() as connection:
        return [str(event.kind) for event in read(connection, subject=name)]


def test_nothing_that_was_asked_is_nothing_to_judge(world: World, engine: sa.Engine) -> None:
    found = world.look(LIVE)
    assert (found.windows, found.drift, found.failures, found.alerts) == ([], {}, [], [])
    assert told(engine, world.name) == []


def test_days_like_those_of_training_are_quiet_and_cost_nothing_twice(world: World, engine: sa.Engine) -> None:
    world.fly(LIVE, 28)
    found = world.look(LIVE + 29 * DAY)
    assert found.failures == []
    assert found.drift["1"].verdict is Verdict.QUIET
    assert len(found.drift["1"].looks) == 28
    assert [result.verdict for _, result in found.windows] == ["quiet"] * len(found.windows)
    assert len(found.windows) == 2  # as many as the policy looks back on
    assert found.inputs is not None
    assert found.inputs.agreement.agrees
    assert found.concept is not None
    assert not found.concept.alarms
    assert found.summary is not None
    assert found.summary.metrics["accuracy"].rows > 100
    assert found.outlook is not None
    assert found.outlook.forecasts["log_loss"].value == pytest.approx(0.611, abs=0.03)
    assert found.alerts == []
    again = world.look(LIVE + 29 * DAY)
    assert again.windows == []
    assert len(again.drift["1"].looks) == 2  # the newest, which late rows may still change
    page = {family.name: family for family in TextfileCollector(world.settings.root).collect()}
    losses = {sample.labels["use_case"]: sample.value for sample in page["flywheel_monitor_loss"].samples}
    assert losses[world.name] == found.windows[-1][1].loss  # nothing newer has been judged
    page = {family.name: family for family in TextfileCollector(world.settings.root).collect()}
    told_of = {sample.labels["use_case"]: sample.value for sample in page["flywheel_monitor_drift_evidence"].samples}
    assert 0 <= told_of[world.name] < 365


def test_a_shift_alarms_stays_open_and_trains_nothing_without_harm(world: World, engine: sa.Engine) -> None:
    world.fly(LIVE, 14)
    world.look(LIVE + 15 * DAY)
    world.fly(LIVE + 14 * DAY, 10, distance=600)
    found = world.look(LIVE + 25 * DAY, start_training=True)
    assert found.drift["1"].verdict is Verdict.DRIFT
    assert world.kinds(found) == ["drift"]
    (alert,) = [one for one in found.alerts if one.finding.key.startswith("distance mean")]
    assert alert.finding.key.endswith("(version 1)")
    since = datetime.fromisoformat(alert.finding.since)
    assert abs(since - (LIVE + 14 * DAY)) <= 4 * DAY  # days that lean the same way by chance join the run
    assert found.training is not None
    assert not found.training.decision.start
    assert "Drift without harm starts nothing" in found.training.said
    assert alert.finding.next == "Drift alone starts no training; harm does."
    world.fly(LIVE + 24 * DAY, 7, distance=600)
    for days in (29, 32):  # the alarm was one moment, and the model is as it was
        assert world.kinds(world.look(LIVE + days * DAY)) == ["drift"]
    assert "monitor.notice" in told(engine, world.name)


def test_harm_is_critical_and_the_decision_to_train_stands_on_the_record(
    world: World, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_before: list[str] = []

    def train(*_: object) -> str:
        with engine.connect() as connection:
            known_before.extend(alert.finding.kind for alert in read_board(connection, world.name).of(world.name))
        return "2"

    monkeypatch.setattr("monitoring.job.retrain", train)
    world.fly(LIVE, 7)
    world.fly(LIVE + 7 * DAY, 14, late=0.7)
    found = world.look(LIVE + 22 * DAY, start_training=True)
    assert [result.verdict for _, result in found.windows][-1] == "harm"
    assert "loss" in world.kinds(found)
    assert {one.finding.severity.value for one in found.alerts if one.finding.kind == "loss"} == {"critical"}
    assert found.training is not None
    assert found.training.decision.start
    assert found.training.version == "2"
    assert "loss" in known_before  # people need not wait for a training
    with engine.connect() as connection:
        (started,) = read(connection, EventKind.RETRAIN_STARTED, world.name)
    assert started.body["reason"] == "harm"


def test_a_column_that_vanished_is_one_alert_and_the_rest_is_judged(world: World, engine: sa.Engine) -> None:
    world.fly(LIVE, 10)
    world.fly(LIVE + 10 * DAY, 4, missing=1.0)
    found = world.look(LIVE + 15 * DAY)
    assert "missing" not in world.kinds(found)
    (alert,) = [one for one in found.alerts if one.finding.kind == "columns"]
    assert alert.finding.what.startswith("Column 'distance' has no value in any row since 2013-04-11")
    world.fly(LIVE + 14 * DAY, 1, missing=1.0)
    again = world.look(LIVE + 16 * DAY)
    assert [one.id for one in again.alerts if one.finding.kind == "columns"] == [alert.id]
    assert told(engine, world.name).count("monitor.alert_opened") == len({one.id for one in again.alerts})


def test_a_first_look_over_months_counts_what_is_over(world: World, engine: sa.Engine) -> None:
    world.fly(LIVE, 10)
    world.fly(LIVE + 10 * DAY, 2, missing=1.0)
    world.fly(LIVE + 12 * DAY, 60)
    found = world.look(LIVE + 73 * DAY)
    assert found.alerts == []
    assert found.earlier == "1 change that began before 2013-06-06 is over: no alert, and all on the record."
    with engine.connect() as connection:
        (event,) = read(connection, EventKind.MONITOR_LOOK, world.name)
    assert event.body["earlier"] == found.earlier
    assert [one["column"] for one in event.body["outages"]] == ["distance"]


def test_a_damaged_package_is_told_and_keeps_nothing_else_from_being_judged(world: World, engine: sa.Engine) -> None:
    world.fly(LIVE, 14)
    for folder in (world.settings.root / "packages" / world.name).glob("1-*"):
        if folder.is_dir():
            (folder / INSIDE / "blocks").write_bytes(b"damaged")
    found = world.look(LIVE + 15 * DAY)
    assert found.drift == {}
    assert "look" in world.kinds(found)
    with engine.connect() as connection:
        board = read_board(connection, world.name)
    assert all("could not be judged" in one.finding.what for one in board.of(world.name))


def test_outcomes_that_come_late_reopen_windows_and_blocks(world: World) -> None:
    world.fly(LIVE, 14)
    first = world.look(LIVE + 14 * DAY)  # the last day's outcomes are not known yet
    later = world.look(LIVE + 16 * DAY)
    assert len(first.windows) >= 1
    assert [str(span) for span, _ in later.windows] == [str(first.windows[-1][0])] or later.windows == []
    assert "1" in later.drift


def test_windows_of_so_many_answers_follow_each_other_and_are_judged_once(world: World) -> None:
    document = yaml.safe_load(world.file.read_text())
    document["monitor"]["window_rows"] = 200
    world.file.write_text(yaml.safe_dump(document))
    world.fly(LIVE, 10)
    first = world.look(LIVE + 10 * DAY)
    spans = [span for span, _ in first.windows]
    assert [result.answered for _, result in first.windows] == [200, 200]  # none comes after the last of 600
    assert all(late.start == early.end for early, late in pairwise(spans))
    world.fly(LIVE + 10 * DAY, 4)
    later = [one for one in world.look(LIVE + 15 * DAY).windows if one[0].start >= spans[-1].end]
    assert [result.answered for _, result in later] == [200, 200]
    assert later[0][0].start == spans[-1].end


def test_a_damaged_file_of_the_log_is_critical_and_the_rest_is_judged(world: World) -> None:
    world.fly(LIVE, 10)
    world.fly(LIVE + 10 * DAY, 4)
    table = world.settings.root / "log" / world.name / "predictions"
    newest = max(table.glob("**/*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:100])
    found = world.look(LIVE + 15 * DAY)
    assert found.update.quarantined
    critical = {one.finding.kind for one in found.alerts if one.finding.severity.value == "critical"}
    assert "log" in critical


def test_the_last_look_is_told_again_until_something_else_may_be_found(world: World) -> None:
    world.fly(LIVE, 20)
    world.look(LIVE + 20 * DAY)
    at = LIVE + 20 * DAY + timedelta(hours=6)  # the last day's outcomes are still to come
    found = world.look(at)
    kept = read_kept(path_of(world.settings.root, world.name))
    assert kept is not None
    assert {name: one for name, one in kept.body.items() if name != "windows"} == found.body()
    assert [one["verdict"] for one in kept.body["windows"]] == [result.verdict for _, result in found.windows]
    assert kept.until is not None
    assert at < kept.until <= at + DAY

    def again(as_of: datetime, *, decides: bool = False) -> bool:
        case = load_usecase(world.file)
        return unchanged(world.settings, world.file, case, since=None, as_of=as_of, decides=decides) is not None

    before = kept.until - timedelta(microseconds=1)
    assert again(before)
    assert not again(kept.until)
    assert not again(before, decides=True)
    slid = ("windows", "answers", "inputs", "summary")  # of the newest rows, of which some have grown too old meanwhile
    assert {name: one for name, one in world.look(before).body().items() if name not in slid} == {
        name: one for name, one in kept.body.items() if name not in slid
    }
    assert again(before)
    world.fly(LIVE + 20 * DAY, 1)
    assert not again(before)


def test_a_window_that_somebody_judged_meanwhile_is_looked_at(world: World, engine: sa.Engine) -> None:
    world.fly(LIVE, 14)
    at = LIVE + 16 * DAY
    case = load_usecase(world.file)
    world.look(at)
    assert unchanged(world.settings, world.file, case, since=None, as_of=at, decides=False) is not None
    with engine.begin() as connection:
        body = {"start": LIVE.isoformat(), "end": at.isoformat(), "as_of": at.isoformat(), "verdict": "harm"}
        append(connection, EventKind.MONITOR_WINDOW, world.name, MONITORING, {**body, "answered": 1, "labelled": 1})
    assert unchanged(world.settings, world.file, case, since=None, as_of=at, decides=False) is None


def test_a_look_with_a_part_that_failed_is_made_again(world: World) -> None:
    world.fly(LIVE, 14)
    for folder in (world.settings.root / "packages" / world.name).glob("1-*"):
        if folder.is_dir():
            (folder / INSIDE / "blocks").write_bytes(b"damaged")
    assert world.look(LIVE + 15 * DAY).failures
    assert read_kept(path_of(world.settings.root, world.name)) is None


def test_the_parts_are_told_as_they_begin_and_reports_start_for_windows_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    started: list[ReportProcess] = []
    start = ReportProcess.start

    def counted(reports: ReportProcess) -> None:
        started.append(reports)
        start(reports)

    monkeypatch.setattr(ReportProcess, "start", counted)
    world.fly(LIVE, 14)
    world.look(LIVE + 15 * DAY, begin=said.append)
    assert said[0] == Part.LOG.doing()
    assert Part.DRIFT.doing("of version 1") in said
    assert [one for one in said if one.startswith(Part.WINDOW.doing())]
    assert started
    started.clear()
    world.look(LIVE + 15 * DAY)
    assert not started


def test_a_version_whose_first_days_are_unlike_its_training_is_told_once(world: World) -> None:
    world.fly(LIVE, 3, distance=900)
    found = world.look(LIVE + 4 * DAY)
    assert [one.column for one in found.releases["1"].moved] == ["distance"]
    (alert,) = [one for one in found.alerts if one.finding.kind == "release"]
    assert alert.finding.what.startswith("The first 3 days of version 1 (180 rows) are unlike its training rows")
    assert "'distance' has the median" in alert.finding.what
    assert found.body()["releases"]["1"]["rows"] == 180
    world.fly(LIVE + 3 * DAY, 20, distance=900)
    assert "release" in world.kinds(world.look(LIVE + 24 * DAY))
    world.fly(LIVE + 23 * DAY, 7, distance=900)
    later = world.look(LIVE + 31 * DAY)
    assert later.releases == {}  # they are long over; the alert stays until people close it or another version comes
    assert "release" in world.kinds(later)


def test_a_version_whose_first_days_are_like_its_training_is_no_alert(world: World) -> None:
    world.fly(LIVE, 8)
    found = world.look(LIVE + 9 * DAY)
    assert found.releases["1"].reason.startswith("The first 7 days of version 1 (420 rows) are like its training rows")
    assert "release" not in world.kinds(found)


def test_a_window_by_hand_opens_the_alert_where_it_is_the_newest_and_says_what_follows(
    world: World, engine: sa.Engine
) -> None:
    world.fly(LIVE, 14, late=0.7)
    world.fly(LIVE + 14 * DAY, 7)
    case, at = load_usecase(world.file), LIVE + 22 * DAY

    def judged(first: int, days: int, *, start_training: bool = False) -> Result:
        span = Span(LIVE + first * DAY, LIVE + (first + days) * DAY, at)
        return check(world.settings, Check(world.file, case, span, start_training=start_training))

    harm = judged(0, 14)
    assert harm.verdict == "harm"
    assert harm.training == "Training was not to be started."
    with engine.connect() as connection:
        (alert,) = read_board(connection, world.name).of(world.name)
    assert (alert.finding.kind, alert.finding.severity.value) == ("loss", "critical")
    assert harm.alert == f"Alert {alert.id} (loss, critical) is open."
    assert judged(14, 7).alert == ""  # the newest, and quiet: the alert is on its way out
    with engine.connect() as connection:
        (alert,) = read_board(connection, world.name).of(world.name)
    assert alert.quiet == 1
    older = judged(0, 14, start_training=True)
    newer = "the window from 2013-04-15 to 2013-04-22 was judged too (quiet)"
    assert older.alert == f"No alert: {newer}, and alerts tell of the newest."
    assert older.training.startswith("No training starts: the newest judged window, 2013-04-15 to 2013-04-22, is quiet")
    with engine.connect() as connection:
        (alert,) = read_board(connection, world.name).of(world.name)
    assert alert.quiet == 1


def test_a_window_from_before_the_training_says_that_it_is_no_evidence(world: World) -> None:
    world.fly(LIVE - 20 * DAY, 14, late=0.7)
    case = load_usecase(world.file)
    span = Span(LIVE - 20 * DAY, LIVE - 6 * DAY, LIVE)
    found = check(world.settings, Check(world.file, case, span, start_training=True))
    assert found.verdict == "harm"
    assert found.training.startswith("No training starts: the window begins before 2013-03-31")


def test_the_evidence_of_earlier_looks_is_found_again_each_block_as_it_was_judged_last(
    world: World, engine: sa.Engine
) -> None:
    world.fly(LIVE, 10)
    first = world.look(LIVE + 10 * DAY)
    world.fly(LIVE + 10 * DAY, 3)
    second = world.look(LIVE + 13 * DAY)
    with engine.connect() as connection:
        trail = evidence_before(connection, world.name)["1"]
    judged = {look.start: look.e_value for found in (first, second) for look in found.drift["1"].looks}
    assert trail == tuple(sorted(judged.items()))
    assert len(trail) == 13
    assert draw(second.drift["1"], "test", before=trail).startswith(b"\x89PNG")


def test_outcomes_of_nobody_are_told(world: World) -> None:
    world.fly(LIVE, 14)
    said = {"outcome": 1.0, "event_time": LIVE + DAY, "time_known": LIVE + 2 * DAY}
    strangers = [{"entity": f"stranger-{number}", **said} for number in range(40)]
    rows = pl.from_arrow(pa.Table.from_pylist(strangers, schema=OUTCOMES))
    assert isinstance(rows, pl.DataFrame)
    append_outcomes(world.settings.root / "log", world.name, rows)
    found = world.look(LIVE + 15 * DAY)
    assert [one.finding.key for one in found.alerts if one.finding.kind == "outcomes"] == ["unknown"]
    assert found.update.claims.unknown == 40
    for later in (300, 301, 302):  # at a time without any report nothing is known of them
        found = world.look(LIVE + later * DAY)
        assert [one.finding.key for one in found.alerts if one.finding.kind == "outcomes"] == ["unknown"]
    assert found.newest is not None
    assert found.newest < LIVE + 14 * DAY
    assert (
        "the newest answer is of 2013-04-14; to judge that time, give --as-of 2013-04-15" in lines("x", found.body())[0]
    )
