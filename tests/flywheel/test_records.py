"""Which record was the answer, and which outcome belongs to which prediction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.contract import Column, Contract, Output
from flywheel.records import OUTCOMES, REQUESTS, account, answered, join_outcomes, prediction_schema

START = datetime(2013, 1, 1)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def frame(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pl.DataFrame:
    made = pl.from_arrow(pa.Table.from_pylist(list(rows), schema))
    assert isinstance(made, pl.DataFrame)
    return made


def prediction(number: int, **changes: Any) -> dict[str, Any]:
    made = {"request_id": f"r{number}", "attempt": 1, "row": 0, "prediction_id": f"p{number}", "status": "scored"}
    return made | {"event_time": day(0), "recorded_time": day(0), "entity": None} | changes


def predictions(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame(rows, prediction_schema(None))


def requests(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame([{"time": day(0), "code": 200, "attempts": 1} | row for row in rows], REQUESTS)


def outcomes(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame([{"outcome": 1.0, "event_time": day(0), "time_known": day(1)} | row for row in rows], OUTCOMES)


# One request: what the agent did at each attempt, whether the client got the last answer, its rows, and its id.
ATTEMPT = st.sampled_from(["scored", "failed", "none"])
REQUEST = st.tuples(st.lists(ATTEMPT, min_size=1, max_size=4), st.booleans(), st.integers(1, 3), st.integers(0, 9))


@settings(deadline=None)
@given(story=st.lists(REQUEST, max_size=12), order=st.randoms(use_true_random=False))
def test_each_answered_request_has_exactly_one_answered_record_a_row(story: list[Any], order: Any) -> None:
    made, lines = [], []
    for number, (attempts, passed_on, n_rows, name) in enumerate(story):
        # Names repeat: clients may send several requests under one id.
        delivered = passed_on and attempts[-1] == "scored"
        request_id = f"r{name}" if delivered and len(attempts) == 1 else f"own{number}"
        for attempt, what in enumerate(attempts, start=1):
            for row in range(n_rows if what != "none" else 0):
                known = {
                    "request_id": request_id,
                    "prediction_id": f"p{number}.{attempt}.{row}",
                    "recorded_time": day(number),
                }
                made.append(prediction(number, attempt=attempt, row=row, status=what, **known))
        code = 200 if delivered else 503
        lines.append({"request_id": request_id, "attempts": len(attempts), "code": code, "time": day(number)})
    order.shuffle(made)
    marked = answered(predictions(*made), requests(*lines))
    assert marked["prediction_id"].to_list() == [record["prediction_id"] for record in made]
    right = set(marked.filter(pl.col("answered"))["prediction_id"].to_list())
    expected = {
        f"p{number}.{len(attempts)}.{row}"
        for number, (attempts, delivered, n_rows, _) in enumerate(story)
        if delivered and attempts[-1] == "scored"
        for row in range(n_rows)
    }
    assert right == expected
    accounts = account(predictions(*made), requests(*lines))
    assert (accounts.records_missing, accounts.records_doubled) == (0, 0)


def test_an_attempt_that_the_gateway_replaced_is_an_orphan_and_a_direct_call_is_unknown() -> None:
    made = predictions(prediction(1, attempt=1), prediction(2, request_id="r1", attempt=2), prediction(3))
    marked = answered(made, requests({"request_id": "r1", "attempts": 2}))
    assert marked["answered"].to_list() == [False, True, None]


def test_a_scored_record_whose_client_got_an_error_is_no_answer() -> None:
    assert answered(predictions(prediction(1)), requests({"request_id": "r1", "code": 504}))["answered"].to_list() == [
        False
    ]


def test_accounts_count_what_is_missing_and_what_is_doubled() -> None:
    made = predictions(prediction(1), prediction(1), prediction(2), prediction(9, request_id="r2"))
    accounts = account(made, requests({"request_id": "r1"}, {"request_id": "r2"}, {"request_id": "r3"}))
    assert (accounts.answered_requests, accounts.records_missing, accounts.records_doubled) == (3, 1, 2)


def labelled(made: pl.DataFrame, known: pl.DataFrame, as_of: datetime) -> dict[str, float | None]:
    joined = join_outcomes(made.with_columns(answered=pl.lit(value=True)), known, as_of)
    return dict(joined.select("prediction_id", "outcome").rows())


def test_an_outcome_joins_the_last_prediction_of_its_entity_before_its_event() -> None:
    made = predictions(
        prediction(1, entity="a", event_time=day(1), recorded_time=day(5)),
        prediction(2, entity="a", event_time=day(2), recorded_time=day(4)),
        prediction(3, entity="a", event_time=day(2), recorded_time=day(3)),
        prediction(4, entity="a", event_time=day(6)),
        prediction(5, entity="b", event_time=day(2)),
    )
    known = outcomes({"entity": "a", "event_time": day(3), "time_known": day(4)})
    assert labelled(made, known, day(9)) == {"p1": None, "p2": 1.0, "p3": None, "p4": None, "p5": None}


def test_the_report_known_last_counts_and_the_first_event_after_a_prediction() -> None:
    made = predictions(prediction(1, entity="a", event_time=day(1)))
    known = outcomes(
        {"entity": "a", "event_time": day(2), "time_known": day(3), "outcome": 0.0},
        {"entity": "a", "event_time": day(2), "time_known": day(5), "outcome": 1.0},
        {"entity": "a", "event_time": day(4), "time_known": day(4), "outcome": 0.5},
    )
    assert labelled(made, known, day(4)) == {"p1": 0.0}
    assert labelled(made, known, day(9)) == {"p1": 1.0}


def test_an_outcome_that_names_its_prediction_joins_that_one() -> None:
    made = predictions(prediction(1, entity="a"), prediction(2, entity="a", recorded_time=day(1)))
    known = outcomes({"prediction_id": "p1", "outcome": 0.0}, {"entity": "a", "outcome": 1.0})
    assert labelled(made, known, day(9)) == {"p1": 0.0, "p2": 1.0}


def test_the_name_of_a_class_joins_as_a_number_does() -> None:
    made = predictions(prediction(1, entity="a"), prediction(2), prediction(3, entity="c"))
    known = outcomes(
        {"entity": "a", "outcome": None, "label": "rain", "time_known": day(1)},
        {"entity": "a", "outcome": None, "label": "snow", "time_known": day(2)},
        {"prediction_id": "p2", "outcome": None, "label": "calm"},
    )
    marked = made.with_columns(answered=pl.lit(value=True))
    found = join_outcomes(marked, known, day(9)).select("prediction_id", "outcome", "label").rows()
    assert found == [("p1", None, "snow"), ("p2", None, "calm"), ("p3", None, None)]


def test_a_prediction_record_holds_the_outputs_of_its_contract() -> None:
    contract = Contract(
        columns=(Column(name="at", type="datetime", nullable=False),),
        event_time="at",
        entity=None,
        outputs=(Output(name="prediction", type="string"), Output(name="decision", type="boolean")),
    )
    kind = prediction_schema(contract).field("outputs").type
    assert [(field.name, field.type) for field in kind] == [("prediction", pa.string()), ("decision", pa.bool_())]


def test_what_no_client_got_is_left_out() -> None:
    made = predictions(prediction(1), prediction(2), prediction(3))
    marked = made.with_columns(answered=pl.Series([True, False, None]))
    assert join_outcomes(marked, outcomes(), day(9))["prediction_id"].to_list() == ["p1"]


MADE = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 8), st.integers(0, 8)), max_size=15)
KNOWN = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 8), st.integers(0, 4), st.integers(0, 99)), max_size=15
)


@settings(deadline=None)
@given(made=MADE, known=KNOWN, as_of=st.integers(0, 12))
def test_nothing_known_after_as_of_is_used_and_each_event_is_used_once(
    made: list[Any], known: list[Any], as_of: int
) -> None:
    rows = [
        prediction(number, entity=entity, event_time=day(event), recorded_time=day(recorded))
        for number, (entity, event, recorded) in enumerate(made)
    ]
    facts = [
        {"entity": entity, "event_time": day(event), "time_known": day(event + delay), "outcome": float(value)}
        for entity, event, delay, value in known
    ]
    all_made = predictions(*rows).with_columns(answered=pl.lit(value=True))
    joined = join_outcomes(all_made, outcomes(*facts), day(as_of))
    early = outcomes(*[fact for fact in facts if fact["time_known"] <= day(as_of)])
    assert joined.equals(join_outcomes(all_made, early, day(as_of)))
    assert joined["prediction_id"].to_list() == [
        row["prediction_id"] for row in rows if row["event_time"] <= day(as_of)
    ]
    got = joined.filter(pl.col("outcome").is_not_null())
    assert (got["outcome_time"] >= got["event_time"]).all()
    assert (got["time_known"] <= day(as_of)).all()
    assert not got.select("entity", "outcome_time").is_duplicated().any()


def test_a_shadows_record_is_never_the_answer_whichever_came_first_and_has_no_line_to_be_missing() -> None:
    made = predictions(
        prediction(1, arm="shadow", prediction_id="s1"),
        prediction(1, arm="champion", recorded_time=day(1)),
        prediction(2, prediction_id="direct"),
    )
    lines = requests({"request_id": "r1"})
    assert answered(made, lines)["answered"].to_list() == [False, True, None]
    accounts = account(made, lines)
    assert (accounts.records_missing, accounts.records_doubled, accounts.orphans) == (0, 0, 0)
