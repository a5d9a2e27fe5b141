"""Erasing and tidying the log's tables, and how large their own logs become."""

import os
import time
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from flywheel.erasure import Eraser
from flywheel.errors import StackError
from flywheel.records import TIME
from flywheel.storage import CONFIGURATION, PredictionLog

AT = datetime(2026, 1, 1)


def rows(*ids: str) -> pa.Table:
    return pa.table({"prediction_id": list(ids), "recorded_time": pa.array([AT] * len(ids), TIME)})


def test_the_log_of_commits_stays_bounded_however_many_there_are(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    table = log.path("tiny", "predictions") / "_delta_log"
    most = 0
    for number in range(1, 601):
        log.append("tiny", "predictions", rows(f"p{number}"), "writer", number)
        if number % 100 == 50:  # as if hours had passed
            for path in table.iterdir():
                os.utime(path, (time.time() - 7200,) * 2)
        most = max(most, len(list(table.iterdir())))
    assert most < 250
    assert log.count("tiny", "predictions") == 600
    assert log.position("tiny", "predictions", "writer") == 600


def test_a_table_of_before_gets_todays_settings_once_and_is_read_and_written_as_ever(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    path = log.path("tiny", "predictions")
    path.parent.mkdir()
    write_deltalake(path, rows("p1"))
    Eraser(log).tidy("tiny", "predictions")
    assert CONFIGURATION.items() <= DeltaTable(path).metadata().configuration.items()
    settled = _changes_of_settings(path)
    Eraser(log).tidy("tiny", "predictions")
    assert _changes_of_settings(path) == settled == 1
    log.append("tiny", "predictions", rows("p2"), "writer", 1)
    assert pl.scan_delta(str(path)).collect()["prediction_id"].sort().to_list() == ["p1", "p2"]
    found = log.find("tiny", "p2")
    assert found is not None
    assert found["recorded_time"] == AT


def _changes_of_settings(path: Path) -> int:
    return sum("TBLPROPERTIES" in entry["operation"] for entry in DeltaTable(path).history())


def test_a_new_table_has_the_settings_from_its_first_commit(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append("tiny", "predictions", rows("p1"), "writer", 1)
    configuration = DeltaTable(log.path("tiny", "predictions"), version=0).metadata().configuration
    assert configuration == CONFIGURATION


def test_a_table_that_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    folder = log.path("tiny", "predictions") / "_delta_log"
    folder.mkdir(parents=True)
    (folder / f"{0:020}.json").write_text("damage")
    with pytest.raises(StackError, match=r"predictions cannot be read"):
        Eraser(log).older("tiny", "predictions", "recorded_time", AT)
    with pytest.raises(StackError, match=r"predictions cannot be read"):
        Eraser(log).tidy("tiny", "predictions")
