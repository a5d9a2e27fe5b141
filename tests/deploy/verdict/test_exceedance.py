import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.exceedance import Exceedance, SlowLook, fresh, levels, slow
from deploy.verdict.looks import Look
from deploy.verdict.schedule import Schedule

SCHEDULES = (Schedule(200), Schedule(60))
SLOW = st.builds(
    lambda *bad: SlowLook((Look(30, bad[0], 120, bad[1]), Look(30, bad[2], 120, bad[3]))),
    *[st.integers(0, most) for most in (20, 20, 5, 5)],
)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


def durations(random_: random.Random, requests: int, factor: float = 1.0) -> list[float]:
    return [factor * random_.lognormvariate(-3, 0.5) for _ in range(requests)]


LEVELS = levels(durations(seeded(1), 20_000))


def found_slower(seed: int, factor: float) -> bool:
    random_, state = seeded(seed), fresh(LEVELS)
    for _ in range(15):
        look = slow(LEVELS, durations(random_, 30, factor), durations(random_, 120))
        state, worse = state.take(LEVELS, look, SCHEDULES, alpha=0.05)
        if worse:
            return True
    return False


def test_an_equally_fast_canary_is_found_slower_within_alpha() -> None:
    runs = 300
    rate = sum(found_slower(seed, 1.0) for seed in range(runs)) / runs
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_uniform_slow_down_by_half_is_found() -> None:
    assert sum(found_slower(seed, 1.5) for seed in range(30)) / 30 >= 0.9


@settings(deadline=None, max_examples=40)
@given(st.lists(SLOW, max_size=10))
def test_looks_survive_json_and_an_empty_one_changes_nothing(looks: list[SlowLook]) -> None:
    state = fresh(LEVELS)
    for look in looks:
        state, worse = state.take(LEVELS, look, SCHEDULES, alpha=0.05)
        assert Exceedance.from_json(json.loads(json.dumps(state.to_json()))) == state
        if worse:
            break
        again, said = state.take(LEVELS, SlowLook((Look(1, 0, 4, 0),) * 2), SCHEDULES, alpha=0.05)
        assert not said
        for one, other in zip(state.guards, again.guards, strict=True):
            assert one.log_ratios == other.log_ratios
            assert one.spending.null.chances == pytest.approx(other.spending.null.chances, abs=1e-15)


def test_the_thresholds_are_the_champions_own_and_the_parts_of_alpha_are_all_of_it() -> None:
    p90, p99 = levels([float(number) for number in range(1, 1001)])
    assert (p90.seconds, p99.seconds) == (900.0, 990.0)
    assert p90.part + p99.part == pytest.approx(1)
    assert slow((p90, p99), [900.5, 991.0], [1.0]) == SlowLook((Look(2, 2, 1, 0), Look(2, 1, 1, 0)))
    with pytest.raises(ValueError, match="too few"):
        levels([0.1] * 99)
