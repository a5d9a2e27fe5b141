import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict import exceedance
from deploy.verdict.calls import Call
from deploy.verdict.counted import Errors, ErrorsPlan, latency
from deploy.verdict.exceedance import SlowLook
from deploy.verdict.gates import Margin, margins
from deploy.verdict.looks import NOTHING, Look
from deploy.verdict.means import MeanPlan, differences
from deploy.verdict.readings import Metric
from deploy.verdict.schedule import Schedule
from deploy.verdict.several import Judged, StepLook, judge_metrics, judging
from deploy.verdict.valued import Values, ValuesPlan

STEPS, ALPHA = (20, 50), 0.05
MARGINS = margins(STEPS, Margin(ratio=3.0, rise=0.05))
LEVELS = exceedance.split(0.1, 0.4)
LOSS = MeanPlan(low=-1, high=1, tolerance=0, margin=0.15, alpha=ALPHA)


def metrics() -> dict[str, Metric]:
    """Errors with half of α, latency and loss with a quarter each."""
    return {
        "errors": Errors(ErrorsPlan(MARGINS, ALPHA / 2, ALPHA, Schedule(200))),
        "latency": latency(LEVELS, ALPHA / 4),
        "loss": Values(ValuesPlan(LOSS, ALPHA / 4)),
    }


def look(random_: random.Random, step: int, harm: dict[str, float]) -> StepLook:
    """Play 200 requests, of which the loss of one in two is known."""
    canary = sum(random_.random() < STEPS[step] / 100 for _ in range(200))
    baseline = 200 - canary

    def count(requests: int, rate: float) -> int:
        return sum(random_.random() < rate for _ in range(requests))

    slow = [(count(n, 0.1 * more), count(n, 0.01 * more)) for n, more in ((canary, harm["slow"]), (baseline, 1.0))]
    slow_look = SlowLook(tuple(Look(canary, slow[0][level], baseline, slow[1][level]) for level in (0, 1)))
    losses = [[min(random_.betavariate(1, 3) * more, 1) for _ in range(n // 2)] for n, more in _arms(canary, harm)]
    failed = count(canary, 0.02 * harm["errors"]), count(baseline, 0.02)
    seen = {"errors": Look(canary, failed[0], baseline, failed[1]), "latency": slow_look}
    return StepLook(step, {**seen, "loss": differences(*losses) or None})


def _arms(canary: int, harm: dict[str, float]) -> tuple[tuple[int, float], tuple[int, float]]:
    return (canary, harm["loss"]), (200 - canary, 1.0)


def judged(seed: int, **harm: float) -> Judged:
    random_ = random.Random(seed)  # noqa: S311 - a simulation, no secret
    played = [
        look(random_, step, {"errors": 1.0, "slow": 1.0, "loss": 1.0} | harm) for step in (0, 1) for _ in range(12)
    ]
    return judge_metrics(metrics(), played)


def test_all_guards_together_roll_back_a_healthy_canary_within_alpha() -> None:
    runs = 200
    found = [judged(seed).call for seed in range(runs)]
    assert found.count(Call.ROLL_BACK) / runs <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    assert found.count(Call.PROMOTE) / runs >= 0.5


def test_harm_in_any_one_metric_rolls_back_and_is_named() -> None:
    for harm, name in ({"errors": 5.0}, "errors"), ({"slow": 4.0}, "latency"), ({"loss": 2.0}, "loss"):
        found = [judged(seed, **harm) for seed in range(10)]
        assert all(one.call is Call.ROLL_BACK for one in found)
        assert all(one.reason.startswith(name) for one in found)


def test_a_gate_that_saw_nothing_in_the_last_look_keeps_all_shut() -> None:
    open_ = StepLook(0, {"errors": Look(2000, 2, 8000, 9), "loss": [-0.1] * 300})
    assert judge_metrics(metrics(), [open_]).call is Call.PROMOTE
    for unseen in ({"errors": NOTHING, "loss": [0.0]}, {"errors": Look(1, 0, 1, 0)}, {"loss": [0.0]}):
        found = judge_metrics(metrics(), [open_, StepLook(0, unseen)])
        assert found.call is Call.NOT_YET
        assert "more evidence" in found.reason or "never a pass" in found.reason


def test_a_split_that_is_not_as_planned_rolls_back_no_healthy_canary_and_promotes_no_bad_one() -> None:
    runs = 300
    rolled_back = sum(crooked(seed, 0.1)[0] for seed in range(runs)) / runs
    beyond = max(0.1 * MARGINS[0].ratio, 0.1 + MARGINS[0].rise)
    promoted = sum(crooked(seed, beyond)[1] for seed in range(runs)) / runs
    assert rolled_back <= ALPHA / 2 + 3 * math.sqrt(ALPHA / 2 / runs)
    assert promoted <= ALPHA + 3 * math.sqrt(ALPHA / runs)


def crooked(seed: int, canary_rate: float) -> tuple[bool, bool]:
    """Play 15 looks at any split, the champion's error rate being 0.1; say whether it is ever worse, ever good."""
    random_, metric, good = random.Random(seed), metrics()["errors"], False  # noqa: S311 - a simulation, no secret
    for _ in range(15):
        canary = random_.choice((10, 30, 70))  # of 100, whatever the plan says
        arms = ((canary, canary_rate), (100 - canary, 0.1))
        failed = [sum(random_.random() < rate for _ in range(requests)) for requests, rate in arms]
        metric = metric.take(Look(canary, failed[0], 100 - canary, failed[1]))
        good |= bool(metric.reading().good)
    return metric.reading().worse, good


COUNTED = st.builds(
    lambda a, b, c, d: {"errors": Look(a + b, b, c + d, d)},
    *[st.integers(0, 300), st.integers(0, 9), st.integers(0, 300), st.integers(0, 9)],
)
LOST = st.lists(st.floats(-1, 1), min_size=1, max_size=20).map(lambda values: {"loss": values})


@settings(deadline=None, max_examples=60)
@given(st.lists(COUNTED | LOST, max_size=8), st.integers(0, 8))
def test_the_same_looks_are_judged_the_same_and_nothing_seen_never_promotes(
    seen: list[dict[str, Any]], second: int
) -> None:
    looks = [StepLook(int(number >= second), one) for number, one in enumerate(seen)]
    found = judge_metrics(metrics(), looks)
    assert judge_metrics(metrics(), looks) == found
    after = judge_metrics(metrics(), [*looks, StepLook(1, {})])
    assert after.call is (Call.ROLL_BACK if found.call is Call.ROLL_BACK else Call.NOT_YET)


@settings(deadline=None, max_examples=60)
@given(st.lists(COUNTED | LOST, max_size=8), st.integers(0, 8))
def test_looks_taken_one_by_one_are_judged_like_all_at_once_and_a_value_stays_as_it_was(
    seen: list[dict[str, Any]], second: int
) -> None:
    looks = [StepLook(int(number >= second), one) for number, one in enumerate(seen)]
    now = judging(metrics())
    for number, look_ in enumerate(looks, start=1):
        after, judged_ = now.take(look_)
        assert now.take(look_) == (after, judged_)
        assert judged_ == judge_metrics(metrics(), looks[:number])
        now = after


def test_a_look_of_an_earlier_step_is_refused() -> None:
    now, _ = judging(metrics()).take(StepLook(1, {}))
    with pytest.raises(ValueError, match="step 1 comes after one at step 2"):
        now.take(StepLook(0, {}))


def test_after_a_rollback_looks_change_nothing() -> None:
    now, found = judging(metrics()).take(StepLook(0, {"errors": Look(100, 60, 400, 1)}))
    assert found.call is Call.ROLL_BACK
    assert now.take(StepLook(1, {"errors": Look(1000, 0, 4000, 40)})) == (now, found)
