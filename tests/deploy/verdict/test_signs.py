import json
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.canary_pairs import KNOWN_MISSES
from deploy.verdict.signs import Dispersion, SignPlan, Signs

# Series by which other judges are known, as their issues give them: canary, baseline, and the minute of METHODS.
SPINNAKER_6278, KAYENTA_799, KAYENTA_426, KAYENTA_780 = ((one, two) for one, two, _ in KNOWN_MISSES.values())


def first_found(test: Signs | Dispersion, series: tuple[Sequence[float], Sequence[float]]) -> int | None:
    """Minute, from 1, at which the test finds something; None when it never does."""
    plan = SignPlan(minutes=len(series[0]))
    for minute, (canary, baseline) in enumerate(zip(*series, strict=True), start=1):
        test, found = test.take(plan, canary, baseline)
        if found:
            return minute
    return None


@pytest.mark.parametrize(("series", "minute"), [(SPINNAKER_6278, 6), (KAYENTA_799, 5), (KAYENTA_426, None)])
def test_known_misses_of_other_judges_are_judged_right(
    series: tuple[Sequence[float], Sequence[float]], minute: int | None
) -> None:
    assert first_found(Signs(), series) == minute


def test_a_series_that_only_varies_differently_is_seen_by_the_dispersion_test_alone() -> None:
    assert first_found(Signs(), KAYENTA_780) is None
    assert first_found(Dispersion(), KAYENTA_780) == 8


@pytest.mark.parametrize("test", [Signs(), Dispersion()])
def test_series_of_the_same_law_are_held_within_alpha(test: Signs | Dispersion) -> None:
    runs, found = 400, 0
    for seed in range(runs):
        random_ = random.Random(seed)  # noqa: S311 - a simulation, no secret
        # Both arms share each minute's level, as a daily rise of traffic would have it.
        levels = [random_.uniform(0, 5) for _ in range(30)]
        series = [[level + random_.expovariate(1) for level in levels] for _ in range(2)]
        found += first_found(test, (series[0], series[1])) is not None
    assert found / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=12))
def test_minutes_survive_json_and_a_tie_is_no_evidence(minutes: list[tuple[float, float]]) -> None:
    plan, signs, dispersion = SignPlan(minutes=12), Signs(), Dispersion()
    for canary, baseline in minutes:
        signs, worse = signs.take(plan, canary, baseline)
        dispersion, _ = dispersion.take(plan, canary, baseline)
        assert Signs.from_json(json.loads(json.dumps(signs.to_json()))) == signs
        assert Dispersion.from_json(json.loads(json.dumps(dispersion.to_json()))) == dispersion
        if worse:
            break
        tied, said = signs.take(plan, 7, 7)
        assert not said
        assert tied.guard.spending.counted == signs.guard.spending.counted
