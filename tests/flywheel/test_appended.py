"""Reading what is new by the number of its append, wherever the rows are by then."""

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from flywheel.erasure import Eraser
from flywheel.errors import StackError
from flywheel.records import TIME
from flywheel.storage import PredictionLog

AT = datetime(2026, 1, 1)


def rows(*numbers: int) -> pa.Table:
    times = pa.array([AT + timedelta(days=number) for number in numbers], TIME)
    return pa.table({"prediction_id": [f"p{number}" for number in numbers], "recorded_time": times})


def after(log: PredictionLog, number: int, until: int | None = None) -> list[str]:
    parts = log.after("tiny", "predictions", number, ["prediction_id"], until=until)
    return sorted(name for part in parts for name in part["prediction_id"])


def newest(log: PredictionLog) -> int:
    return log.newest("tiny", "predictions")


def test_each_append_has_a_larger_number_and_only_what_is_after_one_is_read(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert (newest(log), after(log, 0)) == (0, [])
    numbers = []
    for number in range(4):
        log.append("tiny", "predictions", rows(number), "s", number + 1)
        numbers.append(newest(log))
    assert sorted(set(numbers)) == numbers
    assert after(log, 0) == ["p0", "p1", "p2", "p3"]
    assert after(log, numbers[1]) == ["p2", "p3"]
    assert after(log, numbers[0], numbers[2]) == ["p1", "p2"]
    assert after(log, numbers[3]) == []


@pytest.mark.parametrize("reopened", [False, True])
def test_a_number_stays_good_after_compaction_vacuum_expiry_and_loss_of_the_versions(
    tmp_path: Path, reopened: bool
) -> None:
    log = PredictionLog(tmp_path)
    for number in range(6):
        log.append("tiny", "predictions", rows(number), "s", number + 1)
        if number == 2:
            seen = newest(log)
    log.compact("tiny", "predictions")
    Eraser(log).older("tiny", "predictions", "recorded_time", AT + timedelta(days=1))
    table = DeltaTable(str(log.path("tiny", "predictions")))
    assert table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    table.create_checkpoint()
    for path in (log.path("tiny", "predictions") / "_delta_log").glob("*.json"):
        os.utime(path, (time.time() - 7200,) * 2)
    table.cleanup_metadata()
    log = PredictionLog(tmp_path) if reopened else log
    assert after(log, seen) == ["p3", "p4", "p5"]
    log.append("tiny", "predictions", rows(9), "s", 9)
    assert after(log, seen) == ["p3", "p4", "p5", "p9"]
    assert after(log, 0) == ["p1", "p2", "p3", "p4", "p5", "p9"]


def test_rows_of_a_table_from_before_appends_were_numbered_are_old(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    path = log.path("tiny", "predictions")
    path.parent.mkdir()
    wide = {f"column{number}": [number] for number in range(40)}  # beyond the columns that Delta keeps statistics of
    write_deltalake(str(path), pa.table(wide | {"prediction_id": ["old"]}))
    assert (newest(log), after(log, 0)) == (0, [])
    log.append("tiny", "predictions", rows(1), "s", 1)
    begin = newest(log)
    log.append("tiny", "predictions", rows(2), "s", 2)
    log.compact("tiny", "predictions")
    assert (after(log, 0), after(log, begin)) == (["p1", "p2"], ["p2"])
    assert PredictionLog(tmp_path).newest("tiny", "predictions") == newest(log) > begin


def test_an_append_that_others_overtook_is_newer_than_the_one_before_and_older_than_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, numbers = PredictionLog(tmp_path), []
    for number in (1, 3):
        log.append("tiny", "predictions", rows(number), "s", number)
        numbers.append(newest(log))
    before = DeltaTable(str(log.path("tiny", "predictions")))
    for _ in range(2):
        log.compact("tiny", "predictions")
    assert before.version() < DeltaTable(str(log.path("tiny", "predictions"))).version()
    with monkeypatch.context() as patched:  # as if it had opened the table before all that
        patched.setattr(PredictionLog, "open", lambda *_: before)
        log.append("tiny", "predictions", rows(4), "s", 4)
    numbers.append(newest(log))
    assert after(log, numbers[1]) == ["p4"]
    log.append("tiny", "predictions", rows(5), "s", 5)
    numbers.append(newest(log))
    assert sorted(set(numbers)) == numbers
    assert after(log, numbers[2]) == ["p5"]


def test_a_damaged_file_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append("tiny", "predictions", rows(1), "s", 1)
    (damaged,) = log.path("tiny", "predictions").glob("*.parquet")
    log.append("tiny", "predictions", rows(2), "s", 2)
    damaged.write_bytes(damaged.read_bytes()[:100])

    told: list[tuple[str, str]] = []
    parts = log.after(
        "tiny", "predictions", 0, ["prediction_id"], unreadable=lambda path, why: told.append((path.name, why))
    )
    assert [name for part in parts for name in part["prediction_id"]] == ["p2"]
    assert [name for name, why in told if why] == [damaged.name]
    with pytest.raises((OSError, pa.ArrowException, StackError)):
        log.after("tiny", "predictions", 0, ["prediction_id"])
    alone = log.after("tiny", "predictions", 0, ["prediction_id"], file=damaged.name, unreadable=lambda _, __: None)
    assert alone == []
