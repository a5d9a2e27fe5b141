"""A change of the mean loss is found and dated; without one the alarms keep to the budget, whatever the losses."""

import math
from collections.abc import Callable

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import DataError, IntegrityError, UsageError
from flywheel.statistics import Floats
from monitoring.concept.effects import Plan
from monitoring.concept.finding import Finding, Verdict
from monitoring.concept.losses import FEWEST, LossTest

ERRORS = Plan(bounds=(0.0, 1.0), name="error rate")
STREAMS, LENGTH, BUDGET = 250, 600, 150.0
Draw = Callable[[np.random.Generator, int], Floats]


def errors(rate: float, labels: int, seed: int = 1) -> Floats:
    return (np.random.default_rng(seed).random(labels) < rate).astype(np.float64)


def persistent(memory: float) -> Draw:
    def draw(random: np.random.Generator, days: int) -> Floats:
        values = random.normal(0, 1, days)
        for day in range(1, days):
            values[day] = memory * values[day - 1] + math.sqrt(1 - memory**2) * values[day]
        return values

    return draw


def alarms(plan: Plan, draw: Draw) -> int:
    return sum(len(LossTest(plan).observe(draw(np.random.default_rng([11, seed]), LENGTH))) for seed in range(STREAMS))


@pytest.mark.parametrize(
    ("draw", "bounds"),
    [
        pytest.param(lambda random, n: (random.random(n) < 0.01) * 1.0, (0.0, 1.0), id="errors .01"),
        pytest.param(lambda random, n: (random.random(n) < 0.2) * 1.0, (0.0, 1.0), id="errors .2"),
        pytest.param(lambda random, n: (random.random(n) < 0.5) * 1.0, (0.0, 1.0), id="errors .5"),
        pytest.param(lambda random, n: random.beta(2, 5, n), (0.0, 1.0), id="bounded"),
        pytest.param(lambda random, n: random.exponential(1, n), None, id="log-loss"),
        pytest.param(lambda random, n: random.standard_t(4, n) ** 2, None, id="squared error, heavy tails"),
        pytest.param(lambda random, n: np.exp(random.normal(0, 1.5, n)), None, id="lognormal"),
    ],
)
def test_without_a_change_there_are_no_more_alarms_than_the_budget_allows(
    draw: Draw, bounds: tuple[float, float] | None
) -> None:
    allowed = STREAMS * LENGTH / BUDGET
    found = alarms(Plan(per_false_alarm=BUDGET, bounds=bounds), draw)
    assert 0.1 * allowed < found < allowed  # and it is not deaf either


def test_days_that_resemble_those_before_keep_to_the_budget_only_when_that_is_taken_out() -> None:
    allowed = STREAMS * LENGTH / BUDGET
    assert alarms(Plan(per_false_alarm=BUDGET, whiten=True), persistent(0.7)) < allowed
    assert alarms(Plan(per_false_alarm=BUDGET), persistent(0.7)) > 1.5 * allowed


def test_a_week_that_repeats_itself_is_no_change_and_hides_none() -> None:
    random, days = np.random.default_rng(5), np.arange(400)
    means = random.normal(0, 1, 400) + 2 * np.sin(2 * np.pi * days / 7)
    means[300:] += 2
    found = LossTest(Plan(per_false_alarm=5_000, whiten=True)).observe(means)
    assert [finding.verdict for finding in found] == [Verdict.WORSE]
    assert 300 < found[0].at <= 320


def test_a_rise_is_found_dated_and_told_in_a_sentence() -> None:
    test = LossTest(ERRORS)
    assert test.observe(errors(0.2, 20_000)) == ()
    (found,) = test.observe(errors(0.4, 1_000, seed=2))
    assert (found.verdict, found.alarm) == (Verdict.WORSE, True)
    assert found.since is not None
    assert abs(found.since - 20_000) < 60
    assert found.at < 20_300
    assert found.after is not None
    assert found.before.low is not None
    assert found.before.high is not None
    assert found.before.low < 0.2 < found.before.high
    assert found.after.mean == pytest.approx(0.4, abs=0.12)
    assert found.e_value >= found.threshold == pytest.approx(ERRORS.per_false_alarm)
    assert found.reason.startswith("The error rate rose from 0.2024 (0.19")
    assert f"after number {found.since:,};" in found.reason


def test_a_fall_is_news_of_another_kind() -> None:
    test = LossTest(ERRORS)
    test.observe(errors(0.2, 20_000))
    (found,) = test.observe(errors(0.02, 1_000, seed=2))
    assert found.verdict == Verdict.BETTER
    assert "fell" in found.reason


def test_after_an_alarm_the_new_rate_is_the_usual_one() -> None:
    test = LossTest(ERRORS)
    found = test.observe(np.concatenate([errors(0.1, 5_000), errors(0.5, 5_000, 2), errors(0.1, 5_000, 3)]))
    assert [finding.verdict for finding in found] == [Verdict.WORSE, Verdict.BETTER]
    assert found[1].since == pytest.approx(10_000, abs=60)


def test_marks_are_the_callers_own() -> None:
    test, marks = LossTest(ERRORS, told=lambda mark: f"day {mark}"), np.arange(100, 4_100, dtype=np.int64)
    (found,) = test.observe(np.concatenate([errors(0.1, 2_000), errors(0.9, 2_000)]), marks)
    assert found.since is not None
    assert found.since_mark == found.since + 99
    assert f"after day {found.since_mark}" in found.reason


def test_a_rare_error_is_no_drift_and_many_are() -> None:
    test = LossTest(ERRORS)
    assert test.observe(np.zeros(3_000)) == ()
    assert test.observe(np.array([1.0])) == ()
    assert test.observe(np.ones(200))[0].verdict == Verdict.WORSE


@pytest.mark.parametrize("value", [0.0, 1.0, 123.0, -1e-9])
def test_losses_that_are_all_the_same_are_steady(value: float) -> None:
    test = LossTest(Plan(whiten=True))
    assert test.observe(np.full(5_000, value)) == ()
    assert test.finding().verdict == Verdict.STEADY


def test_a_few_losses_are_too_few_to_say_anything() -> None:
    test = LossTest(Plan())
    assert test.finding().verdict == Verdict.LEARNING
    test.observe(np.zeros(FEWEST - 1))
    assert test.finding().verdict == Verdict.LEARNING
    assert f"{FEWEST} are needed" in test.finding().reason
    test.observe(np.zeros(1))
    assert test.finding().verdict == Verdict.STEADY


STREAM = np.concatenate([errors(0.2, 6_000), errors(0.35, 3_000, 2), errors(0.05, 12_000, 3)])


def close(left: Finding, right: Finding) -> bool:
    return (
        (left.verdict, left.at, left.since, left.before.count)
        == (right.verdict, right.at, right.since, right.before.count)
    ) and math.isclose(left.e_value, right.e_value, rel_tol=1e-6)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8), whiten=st.booleans())
@settings(max_examples=25, deadline=None)
def test_batches_and_stored_states_change_nothing(cuts: list[int], *, whiten: bool) -> None:
    plan = Plan(per_false_alarm=1e5, whiten=whiten)
    whole = LossTest(plan)
    expected = whole.observe(STREAM)
    assert len(expected) == 2
    found: list[Finding] = []
    document = LossTest(plan).document()
    for part in np.split(STREAM, sorted(cuts)):
        test = LossTest(plan, orjson.loads(orjson.dumps(document)))
        found += test.observe(part)
        document = test.document()
    assert len(found) == len(expected)
    assert all(map(close, found, expected))
    assert close(LossTest(plan, document).finding(), whole.finding())


@pytest.mark.parametrize("size", [1, 7, 50])
def test_a_change_is_dated_the_same_in_batches_far_smaller_than_its_delay(size: int) -> None:
    stream = np.concatenate([errors(0.2, 3_000), errors(0.32, 1_200, 2)])
    (expected,) = LossTest(ERRORS).observe(stream)
    test = LossTest(ERRORS)
    found: list[Finding] = []
    for start in range(0, len(stream), size):
        found += test.observe(stream[start : start + size])
    assert expected.since is not None
    assert expected.at - expected.since > 4 * size
    assert close(found[0], expected)


def test_the_state_stays_small_however_long_the_stream() -> None:
    test = LossTest(ERRORS)
    test.observe(errors(0.2, 50_000))
    assert len(orjson.dumps(test.document())) < 3_000


@pytest.mark.parametrize(("value", "bounds"), [(math.nan, None), (math.inf, None), (1.5, (0.0, 1.0))])
def test_a_loss_that_cannot_be_is_refused_and_nothing_is_lost(value: float, bounds: tuple[float, float] | None) -> None:
    test = LossTest(Plan(bounds=bounds))
    test.observe(errors(0.2, 100))
    before = test.document()
    with pytest.raises(DataError, match=r"Loss 2 of the batch is"):
        test.observe(np.array([0.0, value]))
    assert test.document() == before


@pytest.mark.parametrize("damage", [{"tally": [1.0]}, {"evidence": {}}, {"scale": {"centre": 1}}, {"begun": "x"}])
def test_a_damaged_state_is_refused_in_a_sentence(damage: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="Delete it"):
        LossTest(Plan(), LossTest(Plan()).document() | damage)


@pytest.mark.parametrize(
    "settings_of_a_plan",
    [{"per_false_alarm": 0.5}, {"per_false_alarm": math.nan}, {"rises": 1.0}, {"bounds": (1.0, 0.0)}],
)
def test_a_plan_that_nobody_can_keep_is_refused(settings_of_a_plan: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Plan(**settings_of_a_plan)  # type: ignore[arg-type]
