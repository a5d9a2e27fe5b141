"""The rollout benchmark's figures: a lost request, an unnamed answer, a wrong split and a late route are each seen."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from benchmarks.rollout_figures import SETTLE_SECONDS, figures_of
from flywheel.events import GENESIS, Event, EventKind, Head, chained

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> float:
    return (START + timedelta(seconds=seconds)).timestamp()


def trail(*told: tuple[float, EventKind, Mapping[str, Any]], version: str = "2") -> list[Event]:
    events: list[Event] = []
    for seconds, kind, body in told:
        head = Head(events[-1].seq, events[-1].hash) if events else GENESIS
        whole = {"rollout": f"r{version}", **body}
        events.append(chained(head, kind, f"m/{version}", "svc-controller", whole, START + timedelta(seconds=seconds)))
    return events


EVENTS = trail(
    (1, EventKind.ROLLOUT_STARTED, {"version": "2", "champion": {"version": "1"}}),
    (2, EventKind.ROLLOUT_STEP, {"state": "intent", "step": 0, "percent": 50}),
    (3, EventKind.ROLLOUT_STEP, {"state": "done", "step": 0, "percent": 50}),
    (5, EventKind.ROLLOUT_PROMOTED, {"state": "intent"}),
    (5.5, EventKind.ROLLOUT_PROMOTED, {"state": "done"}),
)


def answers(*told: tuple[float, int, int]) -> dict[str, Any]:
    """Return answers that took 10 ms, by when they were due, their status and version."""
    due = np.array([at(seconds) for seconds, _, _ in told])
    code, version = (np.array([one[index] for one in told], dtype=np.float64) for index in (1, 2))
    return {"due": due, "done": due + 0.01, "code": code, "version": version}


def test_failures_and_answers_without_a_name_are_counted() -> None:
    found = figures_of(EVENTS, answers((0.5, 200, 1), (3.5, 0, 0), (3.6, 503, 1), (3.7, 200, 0)))
    assert (found.requests, found.failed, found.unnamed) == (4, 2, 1)


def test_the_split_is_that_of_the_answers_between_a_confirmation_and_the_next_intent() -> None:
    inside = [(3.01 + SETTLE_SECONDS + 0.1 * number, 200, 2 if number in {1, 4} else 1) for number in range(10)]
    found = figures_of(EVENTS, answers((0.5, 200, 1), (2.9, 200, 2), (5.2, 200, 2), *inside))
    (step,) = found.steps
    assert (step.percent, step.requests, step.share) == (50, 10, 0.2)
    assert found.split_error == pytest.approx(0.3)
    assert step.noise == pytest.approx(3 * 0.5 / np.sqrt(10))


def test_a_route_is_timed_by_the_trail_and_from_outside_by_the_last_answer_of_the_version_that_goes() -> None:
    found = figures_of(EVENTS, answers((0.5, 200, 1), (5.2, 200, 1), (5.3, 200, 2)))
    (change,) = found.changes
    assert change.seconds == pytest.approx(0.5)
    assert change.last_old == pytest.approx(0.21)
    assert found.quantile(0.99) == pytest.approx(0.5)
    assert [row["swaps"] for row in found.times()] == [1]


def test_a_rollout_that_began_before_the_load_counts_for_nothing() -> None:
    found = figures_of(EVENTS, answers((1.5, 200, 1), (4, 200, 1)))
    assert (found.steps, found.changes) == ((), ())
    assert not found.split_error <= 0.01  # NaN: what was not measured misses its goal
