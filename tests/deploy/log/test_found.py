"""`flywheel log find`: one prediction with all that belongs to it."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from flywheel.errors import UsageError
from flywheel.records import OUTCOMES, REQUESTS
from flywheel.storage import PredictionLog
from tests.flywheel.test_storage import rows

AT = datetime(2013, 1, 1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path))
    return tmp_path


def named(table: pa.Table, ids: list[str]) -> pa.Table:
    """Give rows ids of requests and predictions, and a time."""
    times = pa.array([AT] * len(ids), pa.timestamp("us"))
    for name, values in (("request_id", pa.array(ids)), ("prediction_id", pa.array(ids)), ("recorded_time", times)):
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def test_a_prediction_is_shown_with_its_request_and_its_outcomes(home: Path) -> None:
    log = PredictionLog(home / "log")
    for use_case, kind in (("other", "long"), ("tiny", "double")):
        table = rows(2, a=(kind, 1))  # type: ignore[arg-type]
        log.append(use_case, "predictions", named(table, [f"{use_case}-{n}" for n in range(2)]), "s", 1)
    request = {"request_id": "tiny-1", "time": AT - timedelta(minutes=17), "code": 200, "attempts": 1}
    log.append("tiny", "requests", pa.Table.from_pylist([request], REQUESTS), "r", 1)
    outcome = {"prediction_id": "tiny-1", "outcome": 1.0, "event_time": AT, "time_known": AT}
    log.append("tiny", "outcomes", pa.Table.from_pylist([outcome], OUTCOMES), "o", 1)
    shown = CliRunner().invoke(app, ["log", "find", "tiny-1"])
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert (document["use_case"], document["prediction_id"], document["inputs"]["a"]) == ("tiny", "tiny-1", 1.0)
    assert [one["code"] for one in document["requests"]] == [200]
    assert [one["outcome"] for one in document["outcomes"]] == [1.0]
    assert not any("commit" in one for one in (document, *document["requests"], *document["outcomes"]))


def test_an_outcome_that_was_reported_of_the_entity_is_shown_with_how_it_was_joined(home: Path) -> None:
    log = PredictionLog(home / "log")
    table = named(rows(1, a=("double", 1)), ["p"])
    for name, value in (("entity", "ship"), ("status", "scored"), ("attempt", 1), ("row", 0)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array([value], table.schema.field(name).type))
    log.append("tiny", "predictions", table, "s", 1)
    request = {"request_id": "p", "time": AT, "code": 200, "attempts": 1}
    log.append("tiny", "requests", pa.Table.from_pylist([request], REQUESTS), "r", 1)
    outcome = {"entity": "ship", "outcome": 1.0, "event_time": AT, "time_known": AT}
    log.append("tiny", "outcomes", pa.Table.from_pylist([outcome], OUTCOMES), "o", 1)
    (found,) = json.loads(CliRunner().invoke(app, ["log", "find", "p"]).stdout)["outcomes"]
    assert (found["outcome"], found["joined_by"], found["counts"]) == (1.0, "entity", True)


def test_a_damaged_file_of_another_use_case_keeps_nothing_from_being_found(home: Path) -> None:
    log = PredictionLog(home / "log")
    for use_case in ("broken", "tiny"):
        log.append(use_case, "predictions", named(rows(2, a=("double", 1)), ["a", "c"]), "s", 1)
    (damaged,) = (home / "log" / "broken" / "predictions").glob("*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:100])
    shown = CliRunner().invoke(app, ["log", "find", "c"])
    assert shown.exit_code == 0, shown.output
    assert '"use_case": "tiny"' in shown.output
    absent = CliRunner().invoke(app, ["log", "find", "b"])
    assert isinstance(absent.exception, UsageError)


def test_what_is_not_there_is_one_sentence(home: Path) -> None:
    result = CliRunner().invoke(app, ["log", "find", "nothing"])
    assert isinstance(result.exception, UsageError)
    assert "No prediction 'nothing' is in the log" in str(result.exception)
