from datetime import UTC, datetime

import pytest

from flywheel.events import GENESIS, Event, EventKind, chained
from flywheel.rollbacks import FAILURES, Cause, failure, in_one_line


def rolled_back(cause: str, subject: str = "churn/3") -> Event:
    body = {"cause": cause, "reason": "It failed too often.\nThe log's tail."}
    return chained(
        GENESIS, EventKind.ROLLOUT_ROLLED_BACK, subject, "svc-controller", body, datetime(2026, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize("cause", list(Cause))
def test_only_causes_that_lie_in_the_version_speak_against_it(cause: Cause) -> None:
    expected = "It failed too often." if cause in FAILURES else None
    assert failure([rolled_back(cause)], "churn/3") == expected


def test_a_reason_is_told_in_one_line_without_its_log() -> None:
    assert in_one_line("It did not start. The end of its log:\nno such column") == "It did not start."
    assert in_one_line("It failed too often.") == "It failed too often."


def test_the_failure_of_another_version_is_not_this_ones() -> None:
    assert failure([rolled_back(Cause.VERDICT, "churn/2")], "churn/3") is None
