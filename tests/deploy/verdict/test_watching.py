import json
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.watching import Alarms, MeanWatch, RateWatch, ShareWatch, mean_watch, rate_watch, share_watch

# An alarm in 100 looks, so that a simulation sees some.
OFTEN = Alarms(a_year=10, looks_a_year=1000)
REFERENCE = rate_watch(30, 1500, OFTEN)
MOST = 1500


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


LOSSES = [seeded(number).betavariate(2, 5) for number in range(800)]
LOSS = mean_watch(LOSSES, (0.0, 1.0), OFTEN)


def looks_until_alarm(seed: int, rate: float, most: int = MOST) -> int:
    random_, watch = seeded(seed), REFERENCE
    for look in range(1, most + 1):
        watch = watch.take(sum(random_.random() < rate for _ in range(20)), 20)
        if watch.worse:
            return look
    return most


def looks_until_alarm_of_loss(seed: int, mean: float, most: int = MOST) -> int:
    random_, watch = seeded(seed), LOSS
    for look in range(1, most + 1):
        watch = watch.take([random_.betavariate(7 * mean, 7 * (1 - mean)) for _ in range(10)])
        if watch.worse:
            return look
    return most


@pytest.mark.parametrize(
    ("until_alarm", "bound"), [(looks_until_alarm, REFERENCE.bound), (looks_until_alarm_of_loss, LOSS.bound)]
)
def test_at_the_very_bound_alarms_are_as_rare_as_was_said(
    until_alarm: Callable[[int, float], int], bound: float
) -> None:
    runs = 60
    waited = [until_alarm(seed, bound) for seed in range(runs)]
    mean = sum(waited) / runs
    spread = math.sqrt(sum((look - mean) ** 2 for look in waited) / runs / runs)
    assert mean + 3 * spread >= OFTEN.threshold


def test_a_version_that_turned_bad_after_a_long_good_time_is_found_soon() -> None:
    random_, watch = seeded(2), REFERENCE
    for _ in range(400):
        watch = watch.take(sum(random_.random() < 0.02 for _ in range(20)), 20)
    assert not watch.worse
    for _ in range(20):
        watch = watch.take(sum(random_.random() < 0.12 for _ in range(20)), 20)
    assert watch.worse
    assert looks_until_alarm_of_loss(1, 0.55) <= 10


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=12))
def test_memory_is_bounded_survives_json_and_silence_is_no_look(looks: list[tuple[int, int]]) -> None:
    watch = REFERENCE
    for bad, good in looks:
        watch = watch.take(bad, bad + good)
        again = RateWatch.from_json(json.loads(json.dumps(watch.to_json(), allow_nan=False)))
        assert again == watch
        assert watch.take(0, 0) == watch
    assert len(json.dumps(watch.to_json())) < 400


@settings(max_examples=60)
@given(st.lists(st.lists(st.floats(0, 1), max_size=9), max_size=6))
def test_a_watch_on_a_mean_survives_json_and_no_value_is_no_look(looks: list[list[float]]) -> None:
    watch = LOSS
    for values in looks:
        watch = watch.take(values)
        assert MeanWatch.from_json(json.loads(json.dumps(watch.to_json(), allow_nan=False))) == watch
        assert watch.take([]) == watch


def test_the_bound_is_above_what_the_rollout_showed_and_comes_closer_the_more_it_showed() -> None:
    bounds = [rate_watch(10 * more, 1000 * more, OFTEN, tolerance=1.0).bound for more in (1, 10, 100)]
    assert 0.01 < bounds[2] < bounds[1] < bounds[0] < 0.03
    assert sum(LOSSES) / len(LOSSES) < LOSS.bound / 1.25 < 0.35


def test_a_reference_that_refutes_nothing_and_counts_that_cannot_be_are_refused() -> None:
    for bad, requests in ((0, 0), (5, 5), (900, 1000)):
        with pytest.raises(ValueError, match="say of no rate"):
            rate_watch(bad, requests, OFTEN)
    with pytest.raises(ValueError, match="say of no mean"):
        mean_watch([1.0], (0.0, 1.0), OFTEN)
    with pytest.raises(ValueError, match="cannot be bad"):
        REFERENCE.take(3, 2)
    with pytest.raises(ValueError, match="outside"):
        LOSS.take([1.5])


def test_readings_say_what_was_seen() -> None:
    assert REFERENCE.take(3, 60).reading().counts == {"bad": 3, "requests": 60}
    assert "is not seen" in LOSS.reading().sentence
    assert LOSS.take([0.5]).reading().sentence.startswith("The mean of 1 values")
    assert REFERENCE.take(20, 20).reading().worse


BURSTY = share_watch(10, 2000, OFTEN, least=0.01, tolerance=2.0)


def bursts_until_alarm(seed: int, share: float, most: int = MOST) -> int:
    """Return the look of 400 requests at which the alarm is raised, where a process stops for some looks of all."""
    random_, watch = seeded(seed), BURSTY
    for look in range(1, most + 1):
        stopped = random_.random() < share
        watch = watch.take(400 if stopped else 0, 400)
        if watch.worse:
            return look
    return most


def test_bursts_at_the_very_bound_raise_no_more_alarms_than_was_said_and_steady_slowness_is_found() -> None:
    runs = 60
    waited = [bursts_until_alarm(seed, BURSTY.mean.bound) for seed in range(runs)]
    assert sum(waited) / runs >= OFTEN.threshold
    slow, looks = BURSTY, 0
    while not slow.worse:
        slow, looks = slow.take(60, 400), looks + 1
    assert 5 <= looks <= 30
    assert "may be" in slow.reading().sentence


def test_a_share_waits_for_a_block_survives_json_and_refuses_what_cannot_be() -> None:
    half = BURSTY.take(1, 30)
    assert (half.mean.count, half.bad, half.requests) == (0, 1, 30)
    assert half.take(0, 30 * BURSTY.least_requests).mean.count == 1
    assert ShareWatch.from_json(json.loads(json.dumps(half.to_json(), allow_nan=False))) == half
    with pytest.raises(ValueError, match="cannot be bad"):
        BURSTY.take(2, 1)
    for bad, requests in ((0, 0), (900, 1000)):
        with pytest.raises(ValueError, match="no share"):
            share_watch(bad, requests, OFTEN, least=0.01)
