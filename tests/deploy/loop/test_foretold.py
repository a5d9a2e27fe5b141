"""What a dry run tells: the way, the guards, how long it takes, and the smallest harm that is found."""

from datetime import timedelta
from typing import Any

import pytest

from deploy.evidence.references import Traffic
from deploy.loop.foretold import plan_lines
from deploy.loop.plans import References, RolloutPlan, errors_only, latency_of, make_plan
from deploy.shares import ArmCounts
from flywheel.rollout_spec import Rollout as RolloutSpec
from flywheel.rollout_spec import Window

BUSY = Traffic(requests=1_800_000, requests_per_second=500.0, error_rate=0.005)
IDLE = Traffic(requests=0, requests_per_second=0.0, error_rate=None)


def told(traffic: Traffic, references: References | None = None, **spec: Any) -> dict[str, list[str]]:
    """Return the lines by what stands before the colon."""
    plan = make_plan(RolloutSpec(**spec), 0.05, references or References())
    found: dict[str, list[str]] = {}
    for line in plan_lines(plan, traffic, pods=1):
        name, _, rest = line.partition(": ")
        found.setdefault(name, []).append(rest)
    return found


def test_the_way_is_told_in_words() -> None:
    weekend = Window(days=("saturday",), hours=None)
    (way,) = told(BUSY, manual=(50, 100), pause=timedelta(minutes=5), windows=(weekend,))["way"]
    assert way == (
        "shadow (500 requests, 100 % of all) → 1 % → 5 % → 25 % → 50 % when people say so → 100 % when people say so, "
        "each for 5.0 min at least, on saturday (UTC); the old version stays warm for 10.0 min"
    )


def test_guards_are_told_with_their_parts_of_alpha() -> None:
    found = told(BUSY, References(latency=(0.05, 0.2)))
    assert found["judged in shadow"] == ["errors (100%) of alpha 0.01"]
    assert found["judged in traffic"] == ["errors (67%), latency (33%) of alpha 0.04"]
    assert found["not judged"] == ["prediction_shift, loss, of which nothing is known of the champion yet"]


def test_busy_traffic_takes_minutes_and_finds_small_harm() -> None:
    found = told(BUSY)
    (duration,), (harm,) = found["duration"], found["finds in 80% of rollouts"]
    assert duration.startswith("about ")
    assert "at 500 requests/s and 0.50% errors (shadow 51 s, 1 % " in duration
    assert "min" in duration
    assert "instead of 0.50% (× 1." in harm
    assert any("one pod" in one for one in found["caution"])


def test_without_traffic_no_duration_is_claimed() -> None:
    found = told(IDLE)
    assert "there was no request in the last hour" in found["duration"][0]
    assert "finds in 80% of rollouts" not in found


def test_blue_green_has_no_steps_to_tell_of() -> None:
    found = told(BUSY, strategy="blue_green")
    assert found["way"] == ["shadow (500 requests, 100 % of all) → 100 %; the old version stays warm for 10.0 min"]
    assert set(found) == {"way", "judged in shadow"}


def test_a_plan_survives_its_record_and_old_records_are_plans_of_errors() -> None:
    plan = make_plan(RolloutSpec(), 0.05, References(latency=(0.05, 0.2)))
    assert RolloutPlan.from_json({"plan": plan.to_json()}) == plan
    old = {"steps": [10, 50], "margin": 0.02, "alpha": 0.05, "max_minutes": 30.0}
    assert RolloutPlan.from_json(old) == errors_only((10, 50), 0.02)


@pytest.mark.parametrize(
    ("slow", "objective", "expected"),
    [
        ({0.01: 500, 0.02: 90, 0.05: 20, 0.1: 5}, None, (0.02, 0.1)),
        ({0.01: 500, 0.02: 90, 0.05: 20, 0.1: 5}, 40.0, (0.05, 0.1)),
        ({0.01: 500, 0.02: 90, 0.05: 20, 0.1: 5}, 100.0, None),  # no bound is left above the objective
        ({0.01: 500}, None, None),  # slower than all bounds
    ],
)
def test_requests_are_slow_beyond_the_champions_quantiles_or_the_objective(
    slow: dict[float, int], objective: float | None, expected: tuple[float, float] | None
) -> None:
    spec = RolloutSpec(latency_objective_ms=objective)
    assert latency_of(spec, ArmCounts(1000, 0, slow)) == expected
    assert latency_of(spec, None) is None


def test_of_few_requests_no_quantile_is_known_but_an_objective_is() -> None:
    few = ArmCounts(100, 0, {0.01: 0, 0.02: 0, 0.05: 0})
    assert latency_of(RolloutSpec(), few) is None
    assert latency_of(RolloutSpec(latency_objective_ms=15), few) == (0.02, 0.05)
