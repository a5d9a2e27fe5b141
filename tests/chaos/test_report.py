"""That chaos can fail: each broken promise is seen, and so is a part that did less than was asked."""

import uuid

import polars as pl

from flywheel.records import Accounts
from tests.chaos.load import WRONG, Answers, chance_of
from tests.chaos.report import Report
from tests.chaos.world import strange


def unmet(report: Report) -> set[str]:
    return {one.name for one in report.goals if not one.met}


def test_a_part_that_did_less_than_was_asked_is_not_kept() -> None:
    assert unmet(Report("kills", wanted=10, done=9)) == {"kills_done"}
    assert Report("kills", wanted=10, done=10).kept


def test_a_refusal_a_broken_connection_and_a_wrong_answer_are_failures() -> None:
    report = Report("kills", wanted=0)
    report.expect_all_answered(Answers({"a": 200, "b": 503, "c": 0, "d": WRONG}, {"b": "too slow"}))
    assert report.failed == 3
    assert "503: too slow" in report.broken[0]
    assert unmet(report) == {"kills_failed", "kills_broken"}


def test_a_load_that_was_answered_nothing_shows_nothing() -> None:
    report = Report("kills", wanted=0)
    report.expect_all_answered(Answers())
    assert not report.kept


def test_lost_and_doubled_records_and_answers_that_the_gateway_does_not_know_are_seen() -> None:
    report = Report("kills", wanted=0)
    report.expect_all_recorded(Answers({"a": 200, "b": 200}), Accounts(1, 2, 3, 0), strange=0)
    assert (report.lost, report.doubled) == (2, 3)
    assert unmet(report) == {"kills_lost", "kills_doubled", "kills_broken"}
    assert "2 answers, 1 in the gateway's log" in report.broken[0]


def test_a_record_that_holds_what_another_request_asked_is_strange() -> None:
    names = [str(uuid.uuid4()) for _ in range(3)]
    chances = [chance_of(name) for name in names]
    records = pl.DataFrame(
        {
            "request_id": names,
            "status": ["scored", "scored", "failed"],
            "inputs": [{"chance": chances[0]}, {"chance": chances[0]}, {"chance": 2.0}],
            "outputs": [{"probability": chances[0]}, {"probability": chances[1]}, {"probability": 2.0}],
        }
    )
    assert strange(records) == 1
