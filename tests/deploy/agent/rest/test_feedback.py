"""Outcomes by POST /feedback: checked, durable before the answer, taken once."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from deploy.agent.feedback import REMEMBERED, Feedback
from tests.deploy.agent.rest.serving import serving
from tests.deploy.tiny_contract import CLASSES

PREDICTION = "01a21b9d-9612-74d3-9098-f48206884f12"


class Kept:
    """A sink that keeps rows; where its disk is full it takes none."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.full = False

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.rows += rows


def outcome(**changes: Any) -> dict[str, Any]:
    return {"prediction_id": PREDICTION, "outcome": 1, "event_time": "2013-01-01T07:00:00+02:00"} | changes


async def test_an_outcome_is_taken_once_alone_or_in_a_list() -> None:
    kept = Kept()
    async with serving(outcomes=kept) as served:
        answers = [await served.ask("/feedback", outcome())]
        answers.append(await served.ask("/feedback", outcome()))
        both = [outcome(), outcome(source="crm"), outcome(prediction_id=None, entity=7, outcome=True)]
        answers.append(await served.ask("/feedback", {"outcomes": both}))
    told = [orjson.loads(answer.body) for answer in answers]
    assert told == [
        {"accepted": 1, "repeated": 0},
        {"accepted": 0, "repeated": 1},
        {"accepted": 2, "repeated": 1},
    ]
    assert [(row["prediction_id"], row["entity"], row["outcome"], row["source"]) for row in kept.rows] == [
        (PREDICTION, None, 1.0, "feedback"),
        (PREDICTION, None, 1.0, "crm"),
        (None, "7", 1.0, "feedback"),
    ]
    assert kept.rows[0]["event_time"].isoformat() == "2013-01-01T05:00:00"


async def test_a_correction_is_taken_and_so_is_its_own_correction() -> None:
    kept = Kept()
    async with serving(outcomes=kept) as served:
        for day, value in ((2, 1), (3, 0), (4, 1), (4, 1)):
            said = outcome(outcome=value, time_known=f"2013-01-0{day}T00:00:00Z")
            assert (await served.ask("/feedback", said)).status == 200
    assert [(row["time_known"].day, row["outcome"]) for row in kept.rows] == [(2, 1.0), (3, 0.0), (4, 1.0)]


async def test_outcomes_that_could_not_be_written_may_be_sent_again() -> None:
    kept = Kept()
    async with serving(outcomes=kept) as served:
        kept.full = True
        assert (await served.ask("/feedback", outcome())).status == 503
        kept.full = False
        assert orjson.loads((await served.ask("/feedback", outcome())).body) == {"accepted": 1, "repeated": 0}


async def test_where_classes_are_predicted_an_outcome_is_the_name_of_one() -> None:
    kept = Kept()
    async with serving(CLASSES, outcomes=kept) as served:
        assert (await served.ask("/feedback", outcome(outcome="01"))).status == 200
        assert (await served.ask("/feedback", outcome(outcome=None, label="wild"))).status == 200
        assert (await served.ask("/feedback", outcome(outcome=1))).status == 422
        assert (await served.ask("/feedback", outcome(outcome="a", label="b"))).status == 422
    assert [(row["label"], row["outcome"]) for row in kept.rows] == [("01", None), ("wild", None)]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None),
        (b"[]", 400, None),
        ({"outcomes": []}, 400, None),
        ({"outcomes": [1]}, 400, None),
        ({"outcomes": [outcome()] * 9}, 413, None),
        (outcome(prediction_id=None), 422, "prediction_id"),
        (outcome(prediction_id="x" * 257), 422, "prediction_id"),
        (outcome(prediction_id="nope"), 422, "prediction_id"),
        (outcome(time_known="2055-01-01T00:00:00Z"), 422, "time_known"),
        (outcome(outcome="1"), 422, "outcome"),
        (outcome(outcome=None), 422, "outcome"),
        (outcome(outcome=2), 422, "outcome"),
        (outcome(outcome=None, label="late"), 422, "label"),
        (outcome(event_time="yesterday"), 422, "event_time"),
        (outcome(time_known="2012-01-01"), 422, "time_known"),
        (outcome(source=["a"]), 422, "source"),
        (outcome(value=1), 422, "value"),
    ],
)
async def test_what_is_no_outcome_is_refused_by_field_and_nothing_is_written(
    body: Any, status: int, field: str | None
) -> None:
    kept = Kept()
    async with serving(outcomes=kept) as served:
        answer = await served.ask("/feedback", body)
    error = orjson.loads(answer.body)["error"]
    assert (answer.status, error["field"], kept.rows) == (status, field, [])


async def test_a_correction_taken_back_without_a_time_counts_and_repeats_do_not() -> None:
    kept = Kept()
    async with serving(outcomes=kept) as served:
        for value in (1, 1, 0, 0, 1, 1):
            assert (await served.ask("/feedback", outcome(outcome=value))).status == 200
        both = {"outcomes": [outcome(outcome=0), outcome(outcome=1), outcome(outcome=1)]}
        assert orjson.loads((await served.ask("/feedback", both)).body) == {"accepted": 2, "repeated": 1}
    assert [row["outcome"] for row in kept.rows] == [1.0, 0.0, 1.0, 0.0, 1.0]
    times = [row["time_known"] for row in kept.rows]
    assert sorted(set(times)) == times


def test_memory_of_what_was_taken_is_bounded() -> None:
    def report(number: int) -> dict[str, Any]:
        return {"prediction_id": str(number), "entity": None, "event_time": None, "outcome_id": str(number)}

    feedback = Feedback(Kept())
    for first in range(0, REMEMBERED + 10, 10):
        feedback.take([report(number) for number in range(first, first + 10)])
    assert feedback.take([report(0)]) == (1, 0)
    assert feedback.take([report(REMEMBERED)]) == (0, 1)
