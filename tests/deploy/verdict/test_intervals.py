import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.verdict.intervals import ratio_interval


def missed(seed: int, ratio: float) -> bool:
    random_ = random.Random(seed)  # noqa: S311 - a simulation, no secret
    share, canary, baseline = 0.2, 0, 0
    q = ratio * share / (ratio * share + 1 - share)
    for _ in range(30):
        found = sum(random_.random() < q for _ in range(10))
        canary, baseline = canary + found, baseline + 10 - found
        low, high = ratio_interval(canary, baseline, share, 0.05)
        if not low <= ratio <= high:
            return True
    return False


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_some_look_misses_the_ratio_within_alpha(ratio: float) -> None:
    runs = 300
    assert sum(missed(seed, ratio) for seed in range(runs)) / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 0.99))
def test_the_interval_holds_what_was_seen(canary: int, baseline: int, share: float) -> None:
    low, high = ratio_interval(canary, baseline, share, 0.05)
    assert low < high
    if baseline:
        seen = canary * (1 - share) / (baseline * share)
        assert low <= seen <= high
    assert (low == 0) == (canary == 0)
    assert (high == math.inf) == (baseline == 0)
