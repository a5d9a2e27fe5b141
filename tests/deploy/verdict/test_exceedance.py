import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.counted import Latency, latency
from deploy.verdict.exceedance import SlowLook, levels, slow, split
from deploy.verdict.looks import Look

ALPHA = 0.05
SLOW = st.builds(
    lambda *bad: SlowLook((Look(30, bad[0], 120, bad[1]), Look(30, bad[2], 120, bad[3]))),
    *[st.integers(0, most) for most in (20, 20, 5, 5)],
)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


def durations(random_: random.Random, requests: int, factor: float = 1.0) -> list[float]:
    return [factor * random_.lognormvariate(-3, 0.5) for _ in range(requests)]


LEVELS = levels(durations(seeded(1), 20_000))


def found_slower(seed: int, factor: float, looks: int = 30) -> bool:
    random_, metric = seeded(seed), latency(LEVELS, ALPHA)
    for _ in range(looks):
        metric = metric.take(slow(LEVELS, durations(random_, 40, factor), durations(random_, 160)))
        if metric.reading().worse:
            return True
    return False


def test_an_equally_fast_canary_is_found_slower_within_alpha() -> None:
    runs = 300
    rate = sum(found_slower(seed, 1.0) for seed in range(runs)) / runs
    assert rate <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_a_uniform_slow_down_by_half_is_found() -> None:
    assert sum(found_slower(seed, 1.5) for seed in range(30)) / 30 >= 0.9


def stops(random_: random.Random, looks: int) -> list[float]:
    """Return the part of each look of half a second for which one process stood still: for a second, every 20 s."""
    still, look = [0.0] * looks, 0.0
    while (look := look + random_.expovariate(1 / 40)) < looks:
        for at in range(int(look), min(int(look + random_.expovariate(1 / 2)) + 1, looks)):
            still[at] = 1.0
    return still


def stopped(seed: int, tolerance: float, ratio: float = 1.0) -> Latency:
    """Play 400 looks at 40 and 40 requests, in which either arm's process stops by turns, all of its requests slow."""
    random_, metric = seeded(seed), latency(split(0.1, 0.4, tolerance), ALPHA, block=2.0)
    for still in zip(stops(random_, 400), stops(random_, 400), strict=True):
        counts = []
        for part, more in zip(still, (ratio, 1.0), strict=True):
            over = sum(random_.random() < max(part, 0.1 * more) for _ in range(40))
            counts.append((over, sum(random_.random() < (1.0 if part else 0.1) for _ in range(over))))
        (p90, p99), (base_p90, base_p99) = counts
        metric = metric.take(SlowLook((Look(40, p90, 40, base_p90), Look(40, p99, 40, base_p99)), 0.5))
    return metric


@pytest.mark.parametrize("tolerance", [1.0, 3.0])
def test_a_process_that_stops_now_and_then_is_no_harm(tolerance: float) -> None:
    runs = 60
    found = sum(stopped(seed, tolerance).reading().worse for seed in range(runs))
    assert found / runs <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_a_canary_that_is_slower_all_the_time_is_found_beside_such_stops() -> None:
    metrics = [stopped(seed, 3.0, ratio=8.0) for seed in range(10)]
    assert all(metric.reading().worse for metric in metrics)
    assert all(metric.reading().interval["ratio of requests over 0.1 s"][0] >= 3 for metric in metrics)


def test_a_canary_that_is_as_slow_as_is_tolerated_is_rolled_back_within_alpha() -> None:
    runs, found = 100, 0
    for seed in range(runs):
        random_, metric = seeded(seed), latency(split(0.1, 0.4, 3.0), ALPHA)
        for _ in range(60):
            look = [(sum(random_.random() < share for _ in range(300))) for share in (0.3, 0.1, 0.03, 0.01)]
            metric = metric.take(SlowLook((Look(300, look[0], 300, look[1]), Look(300, look[2], 300, look[3]))))
        found += metric.reading().worse
    assert found / runs <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_one_burst_is_one_piece_of_evidence_however_many_requests_were_in_it() -> None:
    burst = SlowLook((Look(100_000, 100_000, 100_000, 0),) * 2)
    metric = latency(split(0.1, 0.4), ALPHA)
    blocks = 0
    while not metric.reading().worse:
        metric, blocks = metric.take(burst), blocks + 1
    assert blocks == 9


@settings(deadline=None, max_examples=40)
@given(st.lists(SLOW, max_size=12), st.integers(1, 5))
def test_a_block_is_the_sum_of_its_looks_and_what_was_found_stands(looks: list[SlowLook], block: int) -> None:
    by_looks, by_sums = latency(LEVELS, ALPHA, block=block), latency(LEVELS, ALPHA)
    fed = [SlowLook(tuple(_times(one, 10) for one in look.levels), 1.0) for look in looks]
    low = 0.0
    for number, look in enumerate(fed, start=1):
        by_looks = by_looks.take(look)
        if number % block == 0:
            whole = fed[number - block : number]
            summed = whole[0]
            for one in whole[1:]:
                summed = summed.plus(one)
            by_sums = by_sums.take(summed)
            assert [known.logs for known in by_looks.slowness] == [known.logs for known in by_sums.slowness]
        assert by_looks.slowness[0].low >= low
        low = by_looks.slowness[0].low


def _times(look: Look, times: int) -> Look:
    return Look(*(times * count for count in vars(look).values()))


def test_arms_without_traffic_and_the_next_step_lay_no_bet() -> None:
    metric = latency(split(0.1, 0.4), ALPHA, block=2)
    for look in (Look(0, 0, 900, 100), Look(900, 800, 0, 0)):
        metric = metric.take(SlowLook((look, look), 1.0))
    assert {known.blocks for known in metric.slowness} == {1}  # both arms had some in the block
    waiting = metric.take(SlowLook((Look(900, 800, 0, 0),) * 2)).next_step()
    assert {(known.blocks, known.waiting) for known in waiting.slowness} == {(1, 0)}
    assert waiting.seen.levels == (Look(0, 0, 0, 0),) * 2


def test_the_thresholds_are_the_champions_own_and_the_parts_of_alpha_are_all_of_it() -> None:
    p90, p99 = levels([float(number) for number in range(1, 1001)])
    assert (p90.seconds, p99.seconds) == (900.0, 990.0)
    assert p90.part + p99.part == pytest.approx(1)
    assert slow((p90, p99), [900.5, 991.0], [1.0]) == SlowLook((Look(2, 2, 1, 0), Look(2, 1, 1, 0)))
    with pytest.raises(ValueError, match="too few"):
        levels([0.1] * 99)
