"""Harm by an estimate: only one that is trusted says anything, and it says it like any other verdict."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flywheel.events import GENESIS, EventKind, Head, chained
from flywheel.usecase import UseCase, parse_usecase
from monitoring.look.estimated import estimated_window
from monitoring.performance.foresight import Forecast
from monitoring.performance.outlook import Outlook
from monitoring.retraining.evidence import windows_of
from tests.monitoring.flights_package import USE_CASE

GOOD = Forecast(0.7, 0.66, 0.74, 0.69, windows=8, error=0.01, error_of_constant=0.05, trusted=True, reason="good")


@pytest.fixture
def use_case() -> UseCase:
    return parse_usecase(USE_CASE, "test")


def outlook(forecast: Forecast) -> Outlook:
    return Outlook(datetime(2026, 1, 5), datetime(2026, 1, 12), 900, {"log_loss": forecast}, {})


def test_an_interval_above_the_margin_is_harm_and_below_it_is_quiet(use_case: UseCase) -> None:
    body = estimated_window(outlook(GOOD), 0.6, use_case)
    assert body is not None
    assert (body["verdict"], body["basis"]) == ("harm", "estimated")
    assert body["difference_low"] == pytest.approx(0.06)
    assert "0.7000 is estimated before the outcomes of 900 answers" in body["reason"]
    quiet = estimated_window(outlook(GOOD), 0.65, use_case)
    assert quiet is not None
    assert quiet["verdict"] == "quiet"


@pytest.mark.parametrize("changes", [{"trusted": False}, {"low": None, "high": None}])
def test_an_estimate_that_is_not_to_be_trusted_says_nothing(use_case: UseCase, changes: dict[str, object]) -> None:
    assert estimated_window(outlook(replace(GOOD, **changes)), 0.6, use_case) is None  # type: ignore[arg-type]


def test_the_policy_reads_it_and_counts_what_outcomes_say_instead(use_case: UseCase) -> None:
    body = estimated_window(outlook(GOOD), 0.6, use_case)
    assert body is not None
    at = datetime(2026, 1, 13, tzinfo=UTC)
    said = {**body, "as_of": "2026-01-13T00:00:00", "answered": 900, "labelled": 3}
    first = chained(GENESIS, EventKind.MONITOR_WINDOW, "a", "m", said, at)
    (looked,) = windows_of([first], datetime(2026, 1, 14))
    assert (looked.verdict, looked.basis) == ("harm", "estimated")
    known = {**said, "basis": "realised", "verdict": "quiet", "as_of": "2026-01-20T00:00:00"}
    second = chained(Head(1, first.hash), EventKind.MONITOR_WINDOW, "a", "m", known, at)
    (looked,) = windows_of([first, second], datetime(2026, 1, 21))
    assert (looked.verdict, looked.basis) == ("quiet", "realised")
