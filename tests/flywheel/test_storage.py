"""The log's tables: appended once, read as they were written, widened but never bent."""

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from flywheel.column_types import POLARS
from flywheel.contract import Column, ColumnType, Contract
from flywheel.errors import IntegrityError
from flywheel.fields import read_fields
from flywheel.records import prediction_schema
from flywheel.storage import PredictionLog, append_outcomes

AT = datetime(2013, 1, 1)


def rows(count: int, at: datetime = AT, **inputs: tuple[ColumnType, Any]) -> pa.Table:
    kinds: list[tuple[str, ColumnType]] = [("at", "datetime"), *((name, kind) for name, (kind, _) in inputs.items())]
    columns = tuple(Column(name=name, type=kind, nullable=False) for name, kind in kinds)
    schema = prediction_schema(Contract(columns=columns, event_time="at", entity=None))
    values = {"at": at} | {name: value for name, (_, value) in inputs.items()}
    return pa.Table.from_pylist(
        [{"prediction_id": str(n), "event_time": at, "inputs": values} for n in range(count)], schema
    )


def test_an_append_is_made_once_however_often_it_is_repeated(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert log.append("tiny", "predictions", rows(2), "segment", 100)
    assert not log.append("tiny", "predictions", rows(2), "segment", 100)
    assert not log.append("tiny", "predictions", rows(2), "segment", 50)
    assert log.append("tiny", "predictions", rows(1), "segment", 150)
    assert log.append("tiny", "predictions", rows(1), "other", 100)
    assert log.predictions("tiny").height == 4
    assert (log.position("tiny", "predictions", "segment"), log.position("tiny", "predictions", "none")) == (150, None)


def test_a_commit_that_overlaps_an_earlier_one_is_refused_whole(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.commit("tiny", "predictions", rows(1), {"a": 10})
    with pytest.raises(IntegrityError, match="a has already been logged up to 10"):
        log.commit("tiny", "predictions", rows(1), {"b": 5, "a": 10})
    assert log.position("tiny", "predictions", "b") is None
    assert log.predictions("tiny").height == 1


def test_predictions_are_read_by_event_time_from_start_until_before_end(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    for number in (1, 2, 3):
        log.append("tiny", "predictions", rows(1, datetime(2013, 1, number)), f"s{number}", 1)
    found = log.predictions("tiny", datetime(2013, 1, 2), datetime(2013, 1, 3))
    assert found["event_time"].to_list() == [datetime(2013, 1, 2)]


def test_a_use_case_without_a_log_reads_as_empty_tables(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert (log.predictions("x").height, log.requests("x").height, log.outcomes("x").height) == (0, 0, 0)
    assert {"request_id", "inputs", "row"} <= set(log.predictions("x").columns)
    assert log.use_cases() == []


def test_a_new_version_may_bring_inputs_of_its_own(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append("tiny", "predictions", rows(1, a=("long", 1)), "s1", 1)
    log.append("tiny", "predictions", rows(1, b=("string", "x")), "s2", 1)
    assert log.use_cases() == ["tiny"]
    inputs = log.predictions("tiny")["inputs"].struct.unnest().select("a", "b").rows()
    assert set(inputs) == {(1, None), (None, "x")}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": ("long", 1)}, {"a": ("double", 2.5)}),
        ({"a": ("string", "x")}, {"a": ("double", 2.5)}),
        ({"Rain": ("double", 1.0)}, {"rain": ("double", 2.5), "Rain": ("double", 0.5)}),
        ({"a": ("long", 1)}, {"A": ("long", 3), "a": ("string", "x")}),
    ],
)
def test_versions_may_disagree_about_a_name_and_each_reads_its_own(
    tmp_path: Path, first: dict[str, tuple[ColumnType, Any]], second: dict[str, tuple[ColumnType, Any]]
) -> None:
    log = PredictionLog(tmp_path)
    for number in (1, 3):
        log.append("tiny", "predictions", rows(1, AT, **first), f"s{number}", 1)
        log.append("tiny", "predictions", rows(1, AT, **second), f"s{number + 1}", 1)
    log.compact("tiny", "predictions")
    found = log.predictions("tiny")
    assert found.height == 4
    for columns in (first, second):
        read = read_fields(found, "inputs", {name: kind for name, (kind, _) in columns.items()})
        own = [tuple(value for _, value in columns.values())] * 2
        others = [row for row in read.rows() if row not in own]
        assert [row for row in read.rows() if row in own] == own
        assert read.columns == list(columns)
        assert read.schema == pl.Schema({name: POLARS[kind] for name, (kind, _) in columns.items()})
        assert len(others) == 2


def test_one_version_may_tell_rain_from_Rain(tmp_path: Path) -> None:  # noqa: N802  # the capital is the point
    log = PredictionLog(tmp_path)
    log.append("tiny", "predictions", rows(2, rain=("double", 0.25), Rain=("double", 0.75)), "s", 1)
    read = read_fields(log.predictions("tiny"), "inputs", {"Rain": "double", "rain": "double"})
    assert read.rows() == [(0.75, 0.25)] * 2


def test_whole_numbers_that_share_a_field_with_doubles_are_read_as_both(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append("tiny", "predictions", rows(1, a=("long", 1)), "s", 1)
    found = log.predictions("tiny")
    assert read_fields(found, "inputs", {"a": "double", "b": "string"}).rows() == [(1.0, None)]


def test_a_table_of_outcomes_from_before_there_were_labels_reads_with_none(tmp_path: Path) -> None:
    old = pa.table({"entity": ["a"], "outcome": [1.0], "event_time": [AT], "time_known": [AT]})
    log = PredictionLog(tmp_path)
    log.append("tiny", "outcomes", old, "s", 1)
    assert log.outcomes("tiny").select("entity", "outcome", "label", "prediction_id").rows() == [("a", 1.0, None, None)]
    classes = {"prediction_id": [None], "entity": ["b"], "outcome": [None], "label": ["rain"], "source": ["x"]}
    append_outcomes(tmp_path, "tiny", pl.DataFrame(classes | {"event_time": [AT], "time_known": [AT]}))
    assert set(log.outcomes("tiny").select("outcome", "label").rows()) == {(1.0, None), (None, "rain")}


def test_a_log_knows_whether_its_versions_answer_with_classes(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert not log.tells_classes("tiny")
    for number, kind in enumerate(("double", "string")):
        outputs = pa.struct([("prediction", pa.float64() if kind == "double" else pa.string())])
        value = {"prediction": 1.5 if kind == "double" else "rain"}
        table = pa.table({"event_time": [AT], "outputs": pa.array([value], outputs)})
        log.append("tiny", "predictions", table, "s", number + 1)
        assert log.tells_classes("tiny") == (kind == "string")


def test_compaction_keeps_rows_and_positions(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    for number in range(5):
        log.append("tiny", "predictions", rows(1), "s", number + 1)
    log.compact("tiny", "predictions")
    log.compact("none", "predictions")
    assert log.predictions("tiny").height == 5
    assert log.position("tiny", "predictions", "s") == 5
    assert not log.append("tiny", "predictions", rows(1), "s", 5)


def test_the_same_outcomes_are_recorded_once_also_by_two_at_a_time(tmp_path: Path) -> None:
    facts = {"prediction_id": [None], "entity": ["a"], "outcome": [1.0], "event_time": [AT], "time_known": [AT]}
    known = pl.DataFrame(facts | {"source": ["x"]})
    news: list[bool] = []
    threads = [threading.Thread(target=lambda: news.append(append_outcomes(tmp_path, "tiny", known))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(news) == [False, False, False, True]
    assert not append_outcomes(tmp_path, "tiny", known.with_columns(source=pl.lit("another name")))
    assert append_outcomes(tmp_path, "tiny", known.with_columns(outcome=pl.lit(0.0)))
    assert PredictionLog(tmp_path).outcomes("tiny").height == 2
