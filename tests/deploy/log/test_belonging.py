"""Which outcomes `flywheel log find` shows of a prediction: those by which it is judged everywhere else."""

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.log.belonging import outcomes_of
from flywheel.records import LOGGED_OUTCOMES, REQUESTS, answered, join_outcomes, prediction_schema
from flywheel.storage import PredictionLog
from tests.flywheel.test_records import day, prediction

NOW = day(20)


def log_of(root: Path, made: list[dict[str, Any]], lines: list[dict[str, Any]], told: list[dict[str, Any]]) -> Any:
    log = PredictionLog(root)
    rows = [{"inputs": {}, "outputs": {}} | one for one in made]
    schema = prediction_schema(None)
    kept = pa.schema([field for field in schema if field.name not in ("inputs", "outputs")])
    log.append("tiny", "predictions", pa.Table.from_pylist(rows, kept), "s", 1)
    lines = [{"time": day(0), "code": 200, "attempts": 1} | line for line in lines]
    log.append("tiny", "requests", pa.Table.from_pylist(lines, REQUESTS), "r", 1)
    told = [{"outcome": 1.0, "time_known": day(1)} | one for one in told]
    log.append("tiny", "outcomes", pa.Table.from_pylist(told, LOGGED_OUTCOMES), "o", 1)
    return log


def shown(log: PredictionLog, prediction_id: str) -> list[tuple[float, str, bool]]:
    record = log.find("tiny", prediction_id)
    assert record is not None
    found = outcomes_of(log, "tiny", record, NOW)
    return [(one["outcome"], one["joined_by"], one["counts"]) for one in found]


def test_an_outcome_of_the_entity_belongs_to_its_last_answer_before_the_event(tmp_path: Path) -> None:
    made = [prediction(n, entity="ship", event_time=day(n)) for n in range(3)]
    lines = [{"request_id": f"r{n}"} for n in range(3)]
    log = log_of(tmp_path, made, lines, [{"entity": "ship", "event_time": day(1.5)}])
    assert [shown(log, f"p{n}") for n in range(3)] == [[], [(1.0, "entity", True)], []]


def test_an_answer_that_no_client_got_takes_no_outcome_from_the_one_before(tmp_path: Path) -> None:
    made = [prediction(n, entity="ship", event_time=day(n)) for n in range(2)]
    log = log_of(tmp_path, made, [{"request_id": "r0"}], [{"entity": "ship", "event_time": day(5)}])
    assert [shown(log, f"p{n}") for n in range(2)] == [[(1.0, "entity", True)], []]


def test_of_reports_that_name_the_prediction_all_are_shown_and_the_newest_counts(tmp_path: Path) -> None:
    told = [
        {"prediction_id": "p0", "outcome": value, "event_time": day(1), "time_known": day(known)}
        for value, known in ((1.0, 2), (0.0, 3), (1.0, 30))  # the last one is not known yet
    ]
    log = log_of(tmp_path, [prediction(0, entity="ship")], [{"request_id": "r0"}], told)
    named = "prediction_id"
    assert shown(log, "p0") == [(1.0, named, False), (0.0, named, True), (1.0, named, False)]


NUMBER = st.integers(0, 3)
MADE = st.tuples(st.integers(0, 2), NUMBER, NUMBER)  # entity, event, request
TOLD = st.tuples(st.sampled_from([None, "p0", "p1"]), st.integers(0, 2), NUMBER, st.integers(4, 25), NUMBER)


@settings(deadline=None, max_examples=30)
@given(made=st.lists(MADE, min_size=1, max_size=5), got=st.sets(NUMBER), told=st.lists(TOLD, min_size=1, max_size=5))
def test_what_counts_is_what_the_whole_log_joins(made: list[Any], got: set[int], told: list[Any]) -> None:
    records = [
        prediction(n, entity=f"e{entity}", event_time=day(event), recorded_time=day(n), request_id=f"r{request}")
        for n, (entity, event, request) in enumerate(made)
    ]
    reports = [
        {"prediction_id": named, "entity": f"e{entity}", "event_time": day(event), "time_known": day(known)}
        | {"outcome": float(value)}
        for named, entity, event, known, value in told
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = log_of(Path(folder), records, [{"request_id": f"r{n}"} for n in got], reports)
        whole = answered(log.predictions("tiny"), log.requests("tiny"))
        joined = join_outcomes(whole, log.outcomes("tiny"), NOW).filter(pl.col("outcome").is_not_null())
        expected = dict(joined.select("prediction_id", "outcome").rows())
        for one in records:
            counting = {value for value, _, counts in shown(log, one["prediction_id"]) if counts}
            assert counting == ({expected[one["prediction_id"]]} if one["prediction_id"] in expected else set())


def test_a_damaged_file_of_the_log_keeps_no_report_from_being_shown(tmp_path: Path) -> None:
    named = {"prediction_id": "p0", "event_time": day(1)}
    log = log_of(tmp_path, [prediction(0, entity="ship")], [{"request_id": "r0"}], [named])
    record = log.find("tiny", "p0")
    assert record is not None
    (damaged,) = (tmp_path / "tiny" / "predictions").glob("*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:100])
    (found,) = outcomes_of(log, "tiny", record, NOW)
    assert (found["outcome"], found["joined_by"], found["counts"]) == (1.0, "prediction_id", None)
