"""Retention: what is past the limit goes with all that belongs to it, and nothing else does."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.log.retention import REQUEST_LASTS, expire, limit_of, survey
from flywheel.records import LOGGED_OUTCOMES, REQUESTS, prediction_schema
from flywheel.storage import PredictionLog, TableName

LIMIT = datetime(2026, 3, 1)
INSTANT = timedelta(microseconds=1)
OLD, YOUNG = LIMIT - INSTANT, LIMIT
AT = datetime(2013, 1, 1)  # event times are the caller's, and count for nothing here
PREDICTIONS = pa.schema([field for field in prediction_schema(None) if not pa.types.is_struct(field.type)])
SCHEMAS: dict[TableName, pa.Schema] = {"predictions": PREDICTIONS, "requests": REQUESTS, "outcomes": LOGGED_OUTCOMES}


def prediction(name: str, recorded: datetime, **more: Any) -> dict[str, Any]:
    return {"prediction_id": name, "request_id": name, "event_time": AT, "recorded_time": recorded} | more


def request(name: str, at: datetime) -> dict[str, Any]:
    return {"request_id": name, "time": at, "code": 200}


def outcome(of: str | None, recorded: datetime, **more: Any) -> dict[str, Any]:
    known = {"prediction_id": of, "outcome": 1.0, "event_time": AT, "time_known": AT}
    return known | {"recorded_time": recorded, "source": f"{of} {recorded}"} | more


def filled(root: Path, tables: Mapping[TableName, Sequence[dict[str, Any]]], *, batch: int = 3) -> PredictionLog:
    """Write rows in commits of a few, so that files lie before, across and after the limit."""
    log = PredictionLog(root)
    for table, rows in tables.items():
        for start in range(0, len(rows), batch):
            part = pa.Table.from_pylist(list(rows[start : start + batch]), SCHEMAS[table])
            log.commit("tiny", table, part, {f"writer-{table}": start + 1})
    return log


def left(log: PredictionLog, table: TableName) -> list[str]:
    column = {"predictions": "prediction_id", "requests": "request_id", "outcomes": "source"}[table]
    return sorted(log.scan("tiny", table, SCHEMAS[table]).collect()[column].to_list())


def test_what_is_past_the_limit_goes_with_its_outcomes_and_the_rest_stays(tmp_path: Path) -> None:
    log = filled(
        tmp_path,
        {
            "predictions": [prediction("p-old", OLD), prediction("p-young", YOUNG)],
            "requests": [request("p-old", OLD - REQUEST_LASTS), request("p-young", OLD)],
            "outcomes": [outcome("p-old", YOUNG, source="goes"), outcome("p-young", OLD, source="stays")],
        },
    )
    assert {going.table: going.rows for going in survey(log, "tiny", LIMIT)} == expire(log, "tiny", LIMIT)
    assert (left(log, "predictions"), left(log, "requests"), left(log, "outcomes")) == (
        ["p-young"],
        ["p-young"],
        ["stays"],
    )
    assert expire(log, "tiny", LIMIT) == {"outcomes": 0, "requests": 0, "predictions": 0}


def test_an_entitys_outcome_stays_as_long_as_a_prediction_that_it_can_tell_of(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    made = [prediction("p1", OLD, entity="a"), prediction("p2", YOUNG, entity="a", event_time=AT + 2 * hour)]
    said = [
        outcome(None, YOUNG, entity="a", event_time=AT + hour, source="of the first"),
        outcome(None, OLD, entity="a", event_time=AT + 3 * hour, source="of the second"),
        outcome(None, YOUNG, entity="a", event_time=AT - hour, source="of none, young"),
        outcome(None, OLD, entity="a", event_time=AT - hour, source="of none, old"),
        outcome(None, OLD, entity="stranger", source="of nobody, old"),
        outcome("unknown", YOUNG, source="of an unknown one, young"),
        outcome("unknown", OLD, source="of an unknown one, old"),
    ]
    log = filled(tmp_path, {"predictions": made, "outcomes": said})
    assert survey(log, "tiny", LIMIT)[0].rows == 4
    assert expire(log, "tiny", LIMIT)["outcomes"] == 4
    assert left(log, "outcomes") == ["of an unknown one, young", "of none, young", "of the second"]


def test_outcomes_of_a_table_that_does_not_say_when_it_took_them_go_by_when_they_were_known(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    rows = [outcome("x", OLD, time_known=OLD, source="old"), outcome("y", OLD, time_known=YOUNG, source="young")]
    before = LOGGED_OUTCOMES.remove(LOGGED_OUTCOMES.get_field_index("recorded_time"))
    (tmp_path / "tiny").mkdir()
    write_deltalake(tmp_path / "tiny" / "outcomes", pa.Table.from_pylist(rows, before))
    assert survey(log, "tiny", LIMIT)[0].rows == expire(log, "tiny", LIMIT)["outcomes"] == 1
    assert left(log, "outcomes") == ["young"]


def test_how_far_applications_have_come_outlives_their_rows(tmp_path: Path) -> None:
    log = filled(tmp_path, {"predictions": [prediction("p", OLD)], "outcomes": [outcome("p", OLD)]})
    expire(log, "tiny", LIMIT)
    assert left(log, "predictions") == left(log, "outcomes") == []
    assert log.position("tiny", "predictions", "writer-predictions") == 1
    assert log.position("tiny", "outcomes", "writer-outcomes") == 1


TIMES = st.integers(-3, 3).map(lambda number: LIMIT + number * INSTANT) | st.datetimes(
    LIMIT - timedelta(days=400), LIMIT + timedelta(days=400)
)


@settings(max_examples=40, deadline=None)
@given(made=st.lists(TIMES, max_size=12), asked=st.lists(TIMES, max_size=12), said=st.lists(TIMES, max_size=8))
def test_no_row_younger_than_the_limit_is_touched_and_no_older_one_is_left(
    made: list[datetime], asked: list[datetime], said: list[datetime]
) -> None:
    with TemporaryDirectory() as folder:
        log = filled(
            Path(folder),
            {
                "predictions": [prediction(f"p{number}", at) for number, at in enumerate(made)],
                "requests": [request(f"r{number}", at) for number, at in enumerate(asked)],
                "outcomes": [outcome(f"p{number}", at, source=f"p{number}") for number, at in enumerate(said)],
            },
        )
        expire(log, "tiny", LIMIT)
        kept = {f"p{number}" for number, at in enumerate(made) if at >= LIMIT}
        assert left(log, "predictions") == sorted(kept)
        before = LIMIT - REQUEST_LASTS
        assert left(log, "requests") == sorted(f"r{number}" for number, at in enumerate(asked) if at >= before)
        own = {f"p{number}" for number, at in enumerate(said) if number >= len(made) and at >= LIMIT}
        named = {f"p{number}" for number in range(len(said))}
        assert left(log, "outcomes") == sorted(own | (kept & named))


@given(
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    minutes=st.integers(-1439, 1439),
    days=st.integers(1, 5000),
)
def test_the_limit_lies_at_a_begin_of_a_day_at_least_so_many_days_back(at: datetime, minutes: int, days: int) -> None:
    now = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    age = now - limit_of(now, days).replace(tzinfo=UTC)
    assert timedelta(days=days) <= age < timedelta(days=days + 1)
    assert limit_of(now, days).time() == datetime.min.time()


@pytest.mark.parametrize("table", ["predictions", "requests"])
def test_a_table_that_is_not_there_holds_nothing_up(tmp_path: Path, table: TableName) -> None:
    rows = {"predictions": prediction("p", OLD), "requests": request("p", OLD - REQUEST_LASTS)}[table]
    log = filled(tmp_path, {table: [rows]})
    assert sum(expire(log, "tiny", LIMIT).values()) == 1
