"""The shipper: every whole line of spools and access log is in the tables exactly once, whoever dies when."""

import os
import random
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.log.clock import SystemClock
from deploy.log.shipper import COMPACT_EVERY, Shipper, drain, ownership, run
from flywheel.contract import Column, ColumnType, Contract, Output
from flywheel.errors import StackError
from flywheel.fields import read_fields
from flywheel.records import account
from flywheel.storage import PredictionLog
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for
from tests.deploy.spool_lines import line_of
from tests.deploy.tiny_contract import CONTRACT

CONTRACT_JSON = CONTRACT.model_dump_json().encode()


def record(number: int, **changes: Any) -> bytes:
    line = {
        "schema_version": 1,
        "request_id": f"r-{number}",
        "attempt": 1,
        "row": 0,
        "prediction_id": f"p-{number}",
        "event_time": "2013-01-01T05:00:00",
        "recorded_time": "2026-01-01T05:00:00.123456",
        "use_case": "tiny",
        "model_version": "1",
        "model_digest": "d",
        "inputs": {"at": "2013-01-01T05:00:00", "chance": 0.5, "count": number, "gap": None, "mood": "calm"},
        "outputs": {"probability": 0.5},
        "rollout": None,
        "arm": None,
        "unit": None,
        "subject": None,
        "entity": None,
        "flags": [],
        "status": "scored",
        "error": None,
        "latency_ms": 1.0,
        "cache_hit": False,
    }
    return line_of(line | changes)


def request(number: int, **changes: Any) -> bytes:
    line = {
        "time": "2026-01-01T05:00:00.123Z",
        "request_id": f"r-{number}",
        "path": "/tiny/invocations",
        "route": "tiny",
        "code": 200,
        "flags": "-",
        "attempts": 1,
        "cluster": "tiny-v1",
        "host": "127.0.0.1:1",
        "duration_ms": 3,
    }
    return orjson.dumps(line | changes, option=orjson.OPT_APPEND_NEWLINE)


def spool(home: Path, name: str = "tiny-v1", limits: Limits | None = None) -> Spool:
    return Spool(home / "spool" / name, CONTRACT_JSON, limits or Limits())


def append_to_gateway(home: Path, lines: bytes) -> None:
    path = home / "logs" / "gateway.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(lines)


def shipped(home: Path, use_case: str = "tiny") -> list[str]:
    return PredictionLog(home / "log").predictions(use_case)["prediction_id"].sort().to_list()


def test_records_of_a_living_agent_are_shipped_and_its_segment_stays(tmp_path: Path) -> None:
    with spool(tmp_path) as living:
        living.append(record(1) + record(2))
        drain(tmp_path)
        living.append(record(3))
        drain(tmp_path)
        drain(tmp_path)
        assert shipped(tmp_path) == ["p-1", "p-2", "p-3"]
        assert len(list((tmp_path / "spool" / "tiny-v1").glob("*.jsonl"))) == 1
    drain(tmp_path)
    assert list((tmp_path / "spool" / "tiny-v1").glob("*.jsonl")) == []
    assert shipped(tmp_path) == ["p-1", "p-2", "p-3"]


def test_what_piled_up_is_shipped_in_commits_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.log.spools.COMMIT_BYTES", 1000)
    limits = Limits(segment_bytes=1)
    with spool(tmp_path, limits=limits) as agent:
        for number in range(10):
            agent.append(record(number))
    (tmp_path / "logs").mkdir(exist_ok=True)
    shipper = Shipper(tmp_path)
    ticks = 0
    while shipper.tick():
        ticks += 1
    assert ticks > 3
    assert shipper.unshipped() == []
    assert shipped(tmp_path) == sorted(f"p-{number}" for number in range(10))
    assert list((tmp_path / "spool" / "tiny-v1").glob("*.jsonl")) == []


def test_a_row_of_the_table_says_what_the_record_said(tmp_path: Path) -> None:
    with spool(tmp_path) as agent:
        agent.append(record(7, arm="challenger", error=None))
    drain(tmp_path)
    (row,) = PredictionLog(tmp_path / "log").predictions("tiny").to_dicts()
    assert row["inputs"] == {"at": datetime(2013, 1, 1, 5), "chance": 0.5, "count": 7, "gap": None, "mood": "calm"}
    assert (row["recorded_time"], row["arm"]) == (datetime(2026, 1, 1, 5, 0, 0, 123456), "challenger")


def test_versions_with_other_inputs_and_outputs_share_a_table_and_stop_no_shipping(tmp_path: Path) -> None:
    answers: list[tuple[str, Any]] = [("double", 0.5), ("string", "calm"), ("double", 3.5)]
    inputs: list[tuple[ColumnType, Any]] = [("long", 1), ("double", 1.5), ("string", "x")]
    at = "2013-01-01T05:00:00"
    for number, ((kind, answer), (type_, given)) in enumerate(zip(answers, inputs, strict=True), start=1):
        contract = Contract(
            columns=(
                Column(name="at", type="datetime", nullable=False),
                Column(name="given", type=type_, nullable=False),
            ),
            event_time="at",
            entity="key",
            outputs=(Output.model_validate({"name": "prediction", "type": kind}),),
        )
        folder = tmp_path / "spool" / f"tiny-v{number}"
        with Spool(folder, contract.model_dump_json().encode(), Limits()) as agent:
            row = {"inputs": {"at": at, "given": given}, "outputs": {"prediction": answer}}
            agent.append(record(number, model_version=str(number), **row))
    drain(tmp_path)
    assert list((tmp_path / "spool").rglob("*.rejected")) == []
    found = PredictionLog(tmp_path / "log").predictions("tiny").sort("model_version")
    for number, ((kind, answer), (type_, given)) in enumerate(zip(answers, inputs, strict=True)):
        outputs = read_fields(found, "outputs", {"prediction": "string" if kind == "string" else "double"})
        assert outputs["prediction"][number] == answer
        assert read_fields(found, "inputs", {"given": type_})["given"][number] == given


def test_the_torn_last_line_waits_while_its_agent_lives_and_is_set_aside_when_it_is_dead(tmp_path: Path) -> None:
    with spool(tmp_path) as agent:
        agent.append(record(1) + record(2)[:50])
        drain(tmp_path)
        assert shipped(tmp_path) == ["p-1"]
        agent.append(record(2)[50:] + record(3)[:50])
        drain(tmp_path)
        assert shipped(tmp_path) == ["p-1", "p-2"]
    drain(tmp_path)
    (rejected,) = (tmp_path / "spool" / "tiny-v1").glob("*.rejected")
    assert rejected.read_bytes() == record(3)[:50]
    assert list((tmp_path / "spool" / "tiny-v1").glob("*.jsonl")) == []


@pytest.mark.parametrize(
    "damage",
    [b"garbage\n", b"{}\n", b"\n", record(9, schema_version=2), record(9, attempt="one"), record(9, surprise=1)],
)
def test_a_line_that_is_no_record_is_set_aside_and_harms_no_other(tmp_path: Path, damage: bytes) -> None:
    with spool(tmp_path) as agent:
        agent.append(record(1) + damage + record(2))
        drain(tmp_path)
    drain(tmp_path)
    assert shipped(tmp_path) == ["p-1", "p-2"]
    (rejected,) = (tmp_path / "spool" / "tiny-v1").glob("*.rejected")
    assert rejected.read_bytes() == damage


def test_lines_of_the_access_log_go_to_the_use_case_of_their_route(tmp_path: Path) -> None:
    lines = request(1) + request(2, route="other", attempts=None) + request(3, route=None) + b"garbage\n"
    append_to_gateway(tmp_path, lines + request(4, route="../evil") + request(5, code=503)[:20])
    drain(tmp_path)
    append_to_gateway(tmp_path, request(5, code=503)[20:])
    drain(tmp_path)
    drain(tmp_path)
    log = PredictionLog(tmp_path / "log")
    assert set(log.requests("tiny").select("request_id", "code").rows()) == {("r-1", 200), ("r-5", 503)}
    assert log.requests("other")["attempts"].to_list() == [0]
    (rejected,) = (tmp_path / "logs").glob("gateway-*.0.rejected")
    assert rejected.read_bytes() == b"garbage\n"
    assert {path.name for path in (tmp_path / "log").iterdir() if path.is_dir()} == {"tiny", "other"}


def test_a_new_access_log_under_the_old_name_is_read_from_its_start(tmp_path: Path) -> None:
    append_to_gateway(tmp_path, request(1) + request(2))
    drain(tmp_path)
    (tmp_path / "logs" / "gateway.jsonl").unlink()
    append_to_gateway(tmp_path, request(3))
    drain(tmp_path)
    assert PredictionLog(tmp_path / "log").requests("tiny")["request_id"].sort().to_list() == ["r-1", "r-2", "r-3"]


def test_a_lost_position_file_doubles_nothing(tmp_path: Path) -> None:
    append_to_gateway(tmp_path, request(1) + request(2))
    drain(tmp_path)
    (tmp_path / "log" / ".gateway-position.json").unlink()
    append_to_gateway(tmp_path, request(3))
    drain(tmp_path)
    assert PredictionLog(tmp_path / "log").requests("tiny")["request_id"].sort().to_list() == ["r-1", "r-2", "r-3"]


def test_one_spool_that_cannot_be_shipped_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with spool(tmp_path, "bad-v1") as bad, spool(tmp_path) as good:
        bad.append(record(1))
        good.append(record(2))
        (tmp_path / "spool" / "bad-v1" / "contract.json").unlink()
        with pytest.raises(StackError, match="cannot be shipped"):
            drain(tmp_path)
    assert shipped(tmp_path) == ["p-2"]


def test_kill_9_of_the_shipper_at_any_moment_neither_loses_nor_doubles(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  # a test's dice
    command = [sys.executable, "-m", "deploy.log.shipper", "--home", str(tmp_path), "--period", "0.001"]
    number = 0
    table = tmp_path / "log" / "tiny" / "predictions" / "_delta_log"
    for life in range(3):
        with spool(tmp_path, limits=Limits(segment_bytes=50_000)) as agent:
            with subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL) as shipper:
                before = len(list(table.glob("*.json")))
                end = time.monotonic() + 20
                stop_after = chance.randint(2, 8)
                while len(list(table.glob("*.json"))) < before + stop_after and time.monotonic() < end:
                    agent.append(record(number))
                    append_to_gateway(tmp_path, request(number))
                    number += 1
                    time.sleep(0.001)
                shipper.kill()
            assert len(list(table.glob("*.json"))) > before, f"life {life} shipped nothing"
    drain(tmp_path)
    log = PredictionLog(tmp_path / "log")
    accounts = account(log.predictions("tiny"), log.requests("tiny"))
    assert (accounts.answered_requests, accounts.records_missing, accounts.records_doubled) == (number, 0, 0)
    assert log.requests("tiny")["request_id"].n_unique() == number
    assert list((tmp_path / "spool").rglob("*.rejected")) == []


def test_draining_leaves_the_work_to_a_shipper_that_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.log.shipper", "--home", str(tmp_path), "--period", "0.05"]
    with spool(tmp_path) as agent, subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT) as shipper:
        agent.append(record(1))
        wait_for(lambda: shipped(tmp_path) == ["p-1"], "the first record's arrival", 30)
        agent.append(record(2))
        drain(tmp_path)
        assert shipped(tmp_path) == ["p-1", "p-2"]
        shipper.terminate()
        assert shipper.wait(20) == 0


def test_a_home_has_one_shipper_only(tmp_path: Path) -> None:
    with ownership(tmp_path), pytest.raises(StackError, match="Another shipper"):
        run(tmp_path, SystemClock(), period_seconds=0.01, shipper=Shipper(tmp_path))


def test_many_small_commits_leave_few_files(tmp_path: Path) -> None:
    shipper = Shipper(tmp_path)
    with spool(tmp_path) as agent:
        for number in range(COMPACT_EVERY):
            agent.append(record(number))
            shipper.tick()
    frame = PredictionLog(tmp_path / "log").predictions("tiny")
    assert frame["prediction_id"].n_unique() == frame.height == COMPACT_EVERY
    checkpointed = [orjson.loads(line) for line in _last_commit(tmp_path / "log" / "tiny" / "predictions")]
    assert sum("remove" in action for action in checkpointed) == COMPACT_EVERY


@pytest.mark.parametrize("left", [None, 0, 100])
def test_segments_stay_while_a_table_lacks_what_the_loss_of_power_took(tmp_path: Path, left: int | None) -> None:
    with spool(tmp_path) as agent:
        agent.append(record(1))
        Shipper(tmp_path).tick()
        (data,) = (tmp_path / "log" / "tiny" / "predictions").glob("**/*.parquet")
        if left is None:
            data.unlink()
        else:
            os.truncate(data, left)
    again = Shipper(tmp_path)
    with capture_logs() as told:
        again.tick()
    assert len(list((tmp_path / "spool" / "tiny-v1").glob("*.jsonl"))) == 1
    assert data.name in str(told)


def test_files_of_a_table_are_synced_once_and_before_a_segment_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    segments_left: list[int] = []

    def note(path: Path) -> None:
        synced.append(path)
        segments_left.append(len(list((tmp_path / "spool" / "tiny-v1").glob("*.jsonl"))))

    monkeypatch.setattr("flywheel.durable.sync", note)
    shipper = Shipper(tmp_path)
    (tmp_path / "logs").mkdir()
    for number in range(2):
        with spool(tmp_path) as agent:
            agent.append(record(number))
        shipper.drain()
    table = tmp_path / "log" / "tiny" / "predictions"
    files = [path for path in table.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {*files, table, table / "_delta_log", table.parent} <= set(synced)
    assert [path for path in files if synced.count(path) != 1] == []
    assert set(segments_left) == {1}


def _last_commit(table: Path) -> list[bytes]:
    return max((table / "_delta_log").glob("*.json")).read_bytes().splitlines()
