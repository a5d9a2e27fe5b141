"""Rates of error by simulation, seeds fixed: what the plan's alphas promise, when looked at at every look."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest

from deploy.experiments.differences import Difference
from deploy.experiments.judging import judge
from deploy.experiments.looks import Look
from deploy.experiments.readings import Standing, readings
from deploy.experiments.sums import Floats, Sums
from deploy.verdict import Call
from tests.deploy.experiments.worlds import looks, plan

Draw = Callable[[np.random.Generator, int], Floats]
UNITS, LOOKS, RUNS = 10_000, 100, 120
ENDS = np.linspace(UNITS / LOOKS, UNITS, LOOKS).astype(int).tolist()


def normal(generator: np.random.Generator, units: int) -> Floats:
    return generator.normal(0, 1, units)


def conversions(generator: np.random.Generator, units: int) -> Floats:
    return (generator.random(units) < 0.02).astype(np.float64)


def purchases(generator: np.random.Generator, units: int) -> Floats:
    """Return what units spend: 19 of 20 nothing, the others amounts with a heavy tail, cut at 500."""
    spent = np.exp(generator.normal(3, 1.2, units)).clip(max=500)
    return np.where(generator.random(units) < 0.05, spent, 0.0)


@cache
def gains(
    draw: Draw, seed: int, *, effect: float = 0.0, share: float = 0.5, correlation: float = 0.0
) -> list[Difference]:
    """Return the gain at each look of one run; with a correlation it is adjusted by a covariate of that correlation."""
    generator = np.random.default_rng(seed)
    arms = (generator.random(UNITS) < share).astype(np.float64)
    before = generator.normal(0, 1, UNITS)
    values = draw(generator, UNITS) + effect * arms
    if correlation:
        values = correlation * before + np.sqrt(1 - correlation**2) * values
    percent = {"champion": 100 - 100 * share, "challenger": 100 * share}
    wanted = plan(shares=percent, planned_units=UNITS // 2, covariate={} if correlation else None)
    return [readings(wanted, look)[1].gain for look in looks(values, before, arms, ENDS)]


def missed(found: list[Difference], effect: float) -> bool:
    return any(not one.low <= effect <= one.high for one in found)


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("draw", [normal, conversions, purchases])
def test_with_no_effect_a_hundred_looks_find_one_in_at_most_alpha_of_the_runs(draw: Draw, share: float) -> None:
    wrong = sum(missed(gains(draw, seed, share=share), 0.0) for seed in range(RUNS))
    assert wrong / RUNS <= 0.05


def test_a_test_at_each_look_is_wrong_far_more_often() -> None:
    """Hold the worlds to account: they do trap whoever peeks."""
    wrong = sum(any(abs(one.estimate) > 1.96 * one.error for one in gains(normal, seed)) for seed in range(RUNS))
    assert wrong / RUNS > 0.2


def test_the_sequence_covers_the_effect_at_all_looks_together() -> None:
    assert sum(missed(gains(normal, seed, effect=0.3), 0.3) for seed in range(RUNS)) / RUNS <= 0.05


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_the_covariate_narrows_by_what_its_correlation_says_and_keeps_coverage(correlation: float) -> None:
    effect = 0.3 * np.sqrt(1 - correlation**2)  # `gains` shrinks it with the noise
    adjusted = [gains(normal, seed, effect=0.3, correlation=correlation) for seed in range(RUNS)]
    assert sum(missed(found, effect) for found in adjusted) / RUNS <= 0.05
    plain = gains(normal, 0)
    factor = np.mean([found[-1].error for found in adjusted]) / plain[-1].error
    assert factor == pytest.approx(np.sqrt(1 - correlation**2), rel=0.02)


def test_of_four_equal_arms_with_guardrails_any_is_promoted_or_stopped_in_at_most_alpha_of_the_runs() -> None:
    shares = {"champion": 40.0, "a": 20.0, "b": 20.0, "c": 20.0}
    rails = {name: {"measure": {"kind": "latency"}, "margin": 0.0001} for name in ("one", "two")}
    wanted = plan(shares=shares, guardrails=rails, planned_units=UNITS // 2)
    wrong, stopped = 0, 0
    for seed in range(RUNS // 2):
        standings = {one.standing for look in four(seed, list(shares)) for one in readings(wanted, look)}
        wrong += bool(standings & {Standing.BETTER, Standing.WORSE})
        stopped += Standing.STOP in standings
    assert wrong / (RUNS // 2) <= 0.05
    assert stopped / (RUNS // 2) <= 0.05


def four(seed: int, arms: list[str]) -> Iterator[Look]:
    """Return looks at arms that do not differ in the metric and two guardrails."""
    generator = np.random.default_rng(seed)
    names, total = ("revenue", "one", "two"), dict[tuple[str, str], tuple[Sums, ...]]()
    for _ in range(20):
        counts = generator.multinomial(UNITS // 20, (0.4, 0.2, 0.2, 0.2))
        for arm, count in zip(arms, counts.tolist(), strict=True):
            for name in names:
                pieces = (Sums.of(generator.normal(0, 1, half)) for half in (count // 2, count - count // 2))
                before = total.get((name, arm), (Sums(), Sums()))
                total[name, arm] = tuple(one.plus(more) for one, more in zip(before, pieces, strict=True))
        units = {arm: sum(fold.count for fold in total["one", arm]) for arm in arms}
        yield Look(None, None, units, {name: {arm: total[name, arm] for arm in arms} for name in names})


def test_a_real_gain_is_promoted_and_a_real_loss_goes_back() -> None:
    calls = {}
    for effect in (0.2, -0.2):
        found = []
        for seed in range(20):
            generator = np.random.default_rng(seed)
            arms = (generator.random(UNITS) < 0.5).astype(np.float64)
            values = normal(generator, UNITS) + effect * arms
            found.append(judge(plan(), looks(values, np.zeros(UNITS), arms, ENDS)).decision.call)
        calls[effect] = found
    assert calls == {0.2: [Call.PROMOTE] * 20, -0.2: [Call.ROLL_BACK] * 20}
