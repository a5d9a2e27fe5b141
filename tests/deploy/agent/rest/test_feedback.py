"""Outcomes by POST /feedback: checked, durable before the answer, taken once."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from deploy.agent.feedback import REMEMBERED, Feedback
from tests.deploy.agent.rest.serving import serving
from tests.deploy.tiny_contract import CLASSES


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
    return {"prediction_id": "p-1", "outcome": 1, "event_time": "2013-01-01T07:00:00+02:00"} | changes


async def test_an_outcome_is_taken_once_alone_or_in_a_list() -> None:
    kept = Kept()
    async with serving(outcomes=kept) as served:
        answers = [await served.ask("/feedback", outcome(time_known="2013-01-02T00:00:00Z"))]
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
        ("p-1", None, 1.0, "feedback"),
        ("p-1", None, 1.0, "crm"),
        (None, "7", 1.0, "feedback"),
    ]
    assert (kept.rows[0]["event_time"].isoformat(), kept.rows[0]["time_known"].day) == ("2013-01-01T05:00:00", 2)


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
        assert (await served.ask("/feedback", outcome(outcome=1))).status == 422
    assert (kept.rows[0]["label"], kept.rows[0]["outcome"]) == ("01", None)


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
        (outcome(outcome="1"), 422, "outcome"),
        (outcome(outcome=None), 422, "outcome"),
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


def test_memory_of_what_was_taken_is_bounded() -> None:
    feedback = Feedback(Kept())
    for first in range(0, REMEMBERED + 10, 10):
        feedback.take([{"outcome_id": str(number)} for number in range(first, first + 10)])
    assert feedback.take([{"outcome_id": "0"}]) == (1, 0)
    assert feedback.take([{"outcome_id": str(REMEMBERED)}]) == (0, 1)
