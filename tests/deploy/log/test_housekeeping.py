"""Housekeeping: on the record, by itself and by hand, beside a shipper at work, and whatever kills it."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.cli import app
from deploy.log.hourly import Hourly
from deploy.log.housekeeping import expire_recorded, keep_house
from deploy.log.retention import REQUEST_LASTS, limit_of
from flywheel import events
from flywheel.database import open_database
from flywheel.errors import TransientError
from flywheel.events import EventKind
from flywheel.records import LOGGED_OUTCOMES
from flywheel.settings import Settings
from flywheel.storage import PredictionLog, append_outcomes, outcomes_alone
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for
from tests.deploy.log.test_retention import OLD, PREDICTIONS, YOUNG, filled, left, outcome, prediction, request
from tests.deploy.test_shipper import CONTRACT_JSON, record

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)  # thirty days after the limit of these rows
KEPT = {"use_cases": {"tiny": {"log": {"retention_days": 30}}}}


def unrecorded(use_case: str, body: Mapping[str, Any]) -> None:
    """Keep no record."""


def home_of(folder: Path, serving: Mapping[str, Any]) -> PredictionLog:
    (folder / "serving.yaml").write_text(yaml.safe_dump(dict(serving)))
    return filled(
        folder / "log",
        {
            "predictions": [prediction("p-old", OLD), prediction("p-young", YOUNG)],
            "requests": [request("r-old", OLD - REQUEST_LASTS), request("r-young", OLD)],
            "outcomes": [outcome("p-old", YOUNG, source="of old"), outcome("p-young", OLD, source="of young")],
        },
    )


def test_what_serving_yaml_says_goes_and_is_on_the_record_before_it_does(tmp_path: Path) -> None:
    log = home_of(tmp_path, KEPT)
    told: list[tuple[str, Mapping[str, Any], int]] = []
    keep_house(tmp_path, NOW, lambda use_case, body: told.append((use_case, body, log.count("tiny", "predictions"))))
    body = {"before": "2026-03-01T00:00:00", "rows": {"outcomes": 1, "requests": 1, "predictions": 1}}
    assert told == [("tiny", body, 2)]
    assert left(log, "predictions") + left(log, "requests") == ["p-young", "r-young"]
    keep_house(tmp_path, NOW, lambda use_case, body: pytest.fail("nothing is left to go"))


def test_without_retention_days_nothing_goes(tmp_path: Path) -> None:
    log = home_of(tmp_path, {"use_cases": {"other": {"log": {"retention_days": 1}}}})
    keep_house(tmp_path, NOW, lambda use_case, body: pytest.fail("nothing may go"))
    assert left(log, "predictions") == ["p-old", "p-young"]


def test_what_cannot_be_recorded_stays(tmp_path: Path) -> None:
    log = home_of(tmp_path, KEPT)

    def refuse(use_case: str, body: Mapping[str, Any]) -> None:
        raise TransientError("Postgres does not answer.")

    keep_house(tmp_path, NOW, refuse)
    assert left(log, "predictions") == ["p-old", "p-young"]


def test_a_use_case_whose_log_is_damaged_holds_up_no_other(tmp_path: Path) -> None:
    log = home_of(tmp_path, {"defaults": {"log": {"retention_days": 30}}})
    shutil.copytree(tmp_path / "log" / "tiny", tmp_path / "log" / "bad")
    (tmp_path / "log" / "bad" / "outcomes" / "_delta_log" / f"{0:020}.json").write_text("damage")
    keep_house(tmp_path, NOW, unrecorded)
    assert left(log, "predictions") == ["p-young"]


def test_bytes_go_once_no_reader_can_need_them_and_what_a_killed_writer_left_goes_too(tmp_path: Path) -> None:
    log = home_of(tmp_path, KEPT)
    table = log.path("tiny", "predictions")
    (table / "part-of-a-killed-writer.parquet").write_bytes(b"personal")
    (table / "part-of-a-living-writer.parquet").write_bytes(b"not committed yet")
    long_ago = time.time() - 2 * 3600
    os.utime(table / "part-of-a-killed-writer.parquet", (long_ago, long_ago))
    keep_house(tmp_path, NOW, unrecorded)
    assert len(list(table.glob("*.parquet"))) == 3  # before and after the rewrite, and the living writer's
    commit = max(path for path in (table / "_delta_log").glob("*.json") if b'"remove"' in path.read_bytes())
    lines = [orjson.loads(line) for line in commit.read_bytes().splitlines()]
    for line in lines:
        if "remove" in line:
            line["remove"]["deletionTimestamp"] = int(long_ago * 1000)
    commit.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    keep_house(tmp_path, NOW, unrecorded)
    assert len(list(table.glob("*.parquet"))) == 2
    assert b"p-old" not in b"".join(path.read_bytes() for path in table.glob("*.parquet"))


def test_by_hand_each_table_is_told_and_a_dry_run_erases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = home_of(tmp_path, KEPT)
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["log", "expire", "--dry-run"], catch_exceptions=False)
    assert result.stdout.splitlines()[0].startswith("tiny: before ")
    assert [line.split()[:4] for line in result.stdout.splitlines()[1:]] == [
        ["outcomes", "2", "rows", "in"],  # these days both are past thirty days
        ["requests", "2", "rows", "in"],
        ["predictions", "2", "rows", "in"],
    ]
    assert left(log, "predictions") == ["p-old", "p-young"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--usecase", "nope"], "Use case 'nope' has no log here. Known: tiny."),
        (["--usecase", "tiny"], "Give --days, or set log.retention_days in serving.yaml."),
        (["--days", "0"], "greater than or equal to 1"),
        (["--days", "99999999"], "less than or equal to 36500"),
        (["--days", "soon"], "valid integer"),
    ],
)
def test_by_hand_a_wrong_wish_is_one_sentence_and_erases_nothing(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    log = home_of(tmp_path, {})
    done = _flywheel(tmp_path, "log", "expire", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert left(log, "predictions") == ["p-old", "p-young"]


def _flywheel(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from flywheel.cli import main; main()", *arguments]
    environment = ENVIRONMENT | {"FLYWHEEL_HOME": str(home)}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_an_expiry_is_in_the_audit_trail_of_the_stack(stack: Settings, tmp_path: Path) -> None:
    log = home_of(tmp_path, KEPT)
    shutil.copytree(stack.root / "run", tmp_path / "run", ignore=shutil.ignore_patterns("*.sock"))
    done = _flywheel(tmp_path, "log", "expire", "--days", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:4]] == [
        ["outcomes", "2"],
        ["requests", "2"],
        ["predictions", "2"],
    ]
    with open_database(stack, "reader") as engine, engine.connect() as connection:
        event = events.read(connection, EventKind.LOG_EXPIRED, "tiny")[-1]
    assert event.actor == "svc-controller"
    assert event.body["rows"] == {"outcomes": 2, "requests": 2, "predictions": 2}
    assert left(log, "predictions") == left(log, "outcomes") == []


def test_without_a_stack_nothing_goes_by_hand(tmp_path: Path) -> None:
    log = home_of(tmp_path, KEPT)
    done = _flywheel(tmp_path, "log", "expire", "--days", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No stack runs" in done.stderr
    assert left(log, "predictions") == ["p-old", "p-young"]


def test_kill_9_of_housekeeping_at_any_commit_leaves_no_outcome_without_its_prediction(
    stack: Settings, tmp_path: Path
) -> None:
    (tmp_path / "serving.yaml").write_text(yaml.safe_dump(KEPT))
    shutil.copytree(stack.root / "run", tmp_path / "run", ignore=shutil.ignore_patterns("*.sock"))
    kills = 0
    for commits in (1, 2, 3):  # of outcomes, of requests, of predictions
        shutil.rmtree(tmp_path / "log", ignore_errors=True)
        log, young = _half_past(tmp_path)
        kills += _killed_after(commits, tmp_path, log)
        assert set(left(log, "outcomes")) <= set(left(log, "predictions"))
        assert set(young) <= set(left(log, "outcomes")) & set(left(log, "requests"))
        assert subprocess.run(_command(tmp_path), env=ENVIRONMENT, cwd=ROOT, check=False).returncode == 0
        assert left(log, "predictions") == left(log, "outcomes") == young
    assert kills >= 2


def _half_past(home: Path) -> tuple[PredictionLog, list[str]]:
    """Fill a log of which half is past its limit; return it with what is not."""
    limit = limit_of(datetime.now(UTC), 30)
    at = {f"p{number:04}": limit + (timedelta(0) if number % 2 else -REQUEST_LASTS - DAY) for number in range(400)}
    log = filled(
        home / "log",
        {
            "predictions": [prediction(name, when) for name, when in at.items()],
            "requests": [request(name, when) for name, when in at.items()],
            "outcomes": [outcome(name, when, source=name) for name, when in at.items()],
        },
        batch=100,
    )
    return log, [name for name, when in at.items() if when >= limit]


def _killed_after(commits: int, home: Path, log: PredictionLog) -> bool:
    """Run housekeeping until it has made so many commits, then kill it; say whether it still ran."""
    wanted = _commits(log) + commits
    with subprocess.Popen(_command(home), env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while _commits(log) < wanted and process.poll() is None:  # without a pause: it is soon over
            assert time.monotonic() < deadline
        process.kill()
    return process.returncode == -9


def _command(home: Path) -> list[str]:
    return [sys.executable, "-m", "deploy.log.housekeeping", "--home", str(home)]


def _commits(log: PredictionLog) -> int:
    return len(list(log.root.glob("*/*/_delta_log/*.json")))


def test_beside_a_shipper_at_work_nothing_is_lost_doubled_or_shipped_again(tmp_path: Path) -> None:
    shipping = [sys.executable, "-m", "deploy.log.shipper", "--home", str(tmp_path), "--period", "0.001"]
    limit = datetime(2026, 3, 1)
    written: dict[str, bool] = {}
    log = PredictionLog(tmp_path / "log")
    with (
        Spool(tmp_path / "spool" / "tiny-v1", CONTRACT_JSON, Limits(segment_bytes=20_000)) as agent,
        subprocess.Popen(shipping, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL) as shipper,
    ):
        expiries = 0
        deadline = time.monotonic() + 120
        while expiries < 5:
            assert time.monotonic() < deadline
            for number in range(len(written), len(written) + 20):
                when = limit + timedelta(days=1 if number % 3 else -1)
                agent.append(record(number, recorded_time=when.isoformat()))
                written[f"p-{number}"] = when >= limit
            if log.count("tiny", "predictions"):
                erased = expire_recorded(log, "tiny", limit, unrecorded)
                expiries += bool(erased[-1].rows)
        shipper.terminate()
        assert shipper.wait(30) == 0
    done = subprocess.run([*shipping, "--once"], env=ENVIRONMENT, cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 0
    expire_recorded(log, "tiny", limit, unrecorded)
    assert left(log, "predictions") == sorted(name for name, stays in written.items() if stays)


def test_an_append_that_an_expiry_overtakes_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = home_of(tmp_path, KEPT)
    opened = log.open

    def late(use_case: str, table: Any) -> Any:
        known = opened(use_case, table)
        monkeypatch.undo()
        expire_recorded(PredictionLog(log.root), "tiny", YOUNG, unrecorded)
        return known

    monkeypatch.setattr(log, "open", late)
    log.commit("tiny", "predictions", pa.table({"prediction_id": ["p-new"]}), {"late": 1})
    assert left(log, "predictions") == ["p-new", "p-young"]
    assert log.position("tiny", "predictions", "late") == 1


def test_the_hourly_process_starts_when_due_one_at_a_time_and_is_ended(tmp_path: Path) -> None:
    starts, stamp = tmp_path / "starts", tmp_path / "log" / "stamp"
    script = f"import time; open({str(starts)!r}, 'a').write('x'); time.sleep(600)"
    hourly = Hourly(stamp, [sys.executable, "-c", script], first_seconds=0)
    hourly.tick()
    wait_for(starts.exists, "the first start", 20)
    long_ago = time.time() - 7200
    os.utime(stamp, (long_ago, long_ago))
    hourly.tick()  # the last one has not ended
    hourly.stop()
    assert starts.read_text() == "x"
    again = Hourly(stamp, [sys.executable, "-c", script], first_seconds=0)
    again.tick()  # due, as the stamp says
    wait_for(lambda: starts.read_text() == "xx", "the second start", 20)
    again.stop()
    again.tick()  # not due again
    again.stop()
    assert starts.read_text() == "xx"


def test_the_shipper_has_it_done_by_itself(stack: Settings, tmp_path: Path) -> None:
    log = home_of(tmp_path, KEPT)
    shutil.copytree(stack.root / "run", tmp_path / "run", ignore=shutil.ignore_patterns("*.sock"))
    stamp = tmp_path / "log" / ".housekeeping"
    stamp.touch()
    os.utime(stamp, (0, 0))
    command = [sys.executable, "-m", "deploy.log.shipper", "--home", str(tmp_path), "--period", "0.05"]
    with subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL) as shipper:
        try:
            wait_for(lambda: left(log, "predictions") == [], "an expiry", 60)
        finally:
            shipper.terminate()
    assert left(log, "outcomes") == []


def test_outcomes_that_are_reported_while_others_go_are_all_kept(tmp_path: Path) -> None:
    log = home_of(tmp_path, KEPT)
    done, sent = threading.Event(), list[str]()

    def report() -> None:
        while not done.is_set():
            sent.append(f"sent {len(sent)}")
            frame = pl.DataFrame([outcome("p-young", YOUNG, source=sent[-1], entity=sent[-1], label=None)])
            append_outcomes(log.root, "tiny", frame.cast({"label": pl.String}))

    reporting = threading.Thread(target=report)
    reporting.start()
    try:
        for number in range(5):
            made = pa.Table.from_pylist([prediction(f"old-{number}", OLD)], PREDICTIONS)
            log.commit("tiny", "predictions", made, {f"old-{number}": 1})
            old = [outcome(f"old-{number}", YOUNG, event_time=YOUNG + part * DAY) for part in range(50)]
            with outcomes_alone(log.root, "tiny"):
                log.commit("tiny", "outcomes", pa.Table.from_pylist(old, LOGGED_OUTCOMES), {f"old-{number}": 1})
            assert expire_recorded(log, "tiny", YOUNG, unrecorded)[0].rows >= 50
    finally:
        done.set()
        reporting.join()
    assert left(log, "outcomes") == sorted([*sent, "of young"])
