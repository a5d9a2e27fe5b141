import json
import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.stretch import Stretch
from deploy.verdict.watching import MeanWatch

AT = datetime(2026, 1, 1, tzinfo=UTC)
WATCH = MeanWatch(0.0, 4.0, 0.5, 1_000.0)


def after(values: list[float], stretch: Stretch = Stretch(), at: datetime = AT) -> Stretch:  # noqa: B008 - frozen
    return stretch.take(values, WATCH, at)


@settings(max_examples=100)
@given(st.lists(st.lists(st.floats(0, 4), max_size=9), max_size=9))
def test_a_stretch_is_above_the_bound_in_the_mean_and_survives_json(looks: list[list[float]]) -> None:
    stretch = Stretch()
    for look in looks:
        stretch = after(look, stretch)
        assert (stretch.count > 0) == (stretch.since is not None) == (stretch.rise > 0)
        assert stretch.count == 0 or stretch.mean > WATCH.bound - 1e-9
        assert Stretch.from_json(json.loads(json.dumps(stretch.to_json()))) == stretch


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.45, 1.5), st.integers(1, 30))
def test_wherever_the_alarm_is_raised_there_is_a_stretch_to_tell_of(seed: int, mean: float, size: int) -> None:
    chance, watch, stretch = random.Random(seed), WATCH, Stretch()  # noqa: S311 - a simulation, no secret
    for _ in range(200):
        values = [min(chance.expovariate(1 / mean), WATCH.high) for _ in range(size)]
        watch, stretch = watch.take(values), stretch.take(values, watch, AT)
        if watch.worse:
            assert stretch.since is not None
            assert stretch.mean > WATCH.bound
            return


def test_a_good_year_before_is_no_part_of_it_and_its_time_is_that_of_the_first_look() -> None:
    stretch = after([0.1] * 1_000)
    assert stretch == Stretch()
    later = AT + timedelta(days=365)
    stretch = after([0.9] * 40, after([0.9] * 60, stretch, later), later + timedelta(minutes=1))
    assert (stretch.count, round(stretch.mean, 6), stretch.since) == (100, 0.9, later)
    assert after([0.1] * 1_000, stretch, later) == Stretch()


def test_a_slow_rise_on_which_large_bets_lose_has_a_stretch_as_well() -> None:
    watch, stretch, looks = WATCH, Stretch(), 0
    while not watch.worse:
        values, looks = [3.0] * 4 + [0.0] * 17, looks + 1
        watch, stretch = watch.take(values), stretch.take(values, watch, AT)
    assert 50 < looks < 300
    assert stretch.count == 21 * looks
