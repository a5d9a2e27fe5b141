"""The budget of false alarms, by simulation: years in which nothing changes."""

import numpy as np
import pytest
from scipy import stats

from monitoring.drift.kind import History, KindWatch
from monitoring.drift.streams import Kind, Stream

STREAMS, REFERENCE, YEAR, YEARS = 8, 90, 365, 4
THRESHOLD = 365
NOISE = 0.001  # sampling variance of a block, a hundredth of what days do


def days(
    generator: np.random.Generator, phi: float, *, heavy: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    shape = (REFERENCE + YEAR, STREAMS)
    pushes = generator.standard_t(4, shape) / np.sqrt(2) if heavy else generator.normal(size=shape)
    for day in range(1, len(pushes)):
        pushes[day] = phi * pushes[day - 1] + np.sqrt(1 - phi**2) * pushes[day]
    return np.asarray(0.3 * pushes + generator.normal(0, np.sqrt(NOISE), shape))


def learned(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> KindWatch:
    streams = tuple(Stream(Kind.MEAN, f"x{number}") for number in range(STREAMS))
    ones = np.ones((REFERENCE, 1))
    history = History(values, ones, ones[:, 0], np.zeros(REFERENCE, dtype=np.int64), np.full(STREAMS, NOISE))
    return KindWatch.learn(Kind.MEAN, streams, history, np.array([100.0]), 0.05)


def alarms_of(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[int]:
    """Return the live days with an alarm, each of which spends as much evidence as it takes."""
    watch, found = learned(values[:REFERENCE]), list[int]()
    for day, block in enumerate(values[REFERENCE:]):
        watch.take(block, np.ones(1), 1.0)
        if watch.e_value() >= THRESHOLD:
            watch.detectors.fade(1 - THRESHOLD / watch.e_value())
            found.append(day)
    return found


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_a_year_without_change_has_at_most_one_alarm_on_average(phi: float, heavy: bool) -> None:
    alarms = 0
    for seed in range(YEARS):
        alarms += len(alarms_of(days(np.random.default_rng([seed, round(10 * phi), heavy]), phi, heavy=heavy)))
    # Exact Poisson: so many or more would have a probability below 1 % if there was one a year.
    assert stats.poisson.sf(alarms - 1, YEARS) > 0.01


@pytest.mark.parametrize(("phi", "within"), [(0.0, 14), (0.5, 40)])
def test_half_a_standard_deviation_is_found_in_days(phi: float, within: int) -> None:
    delays = []
    for seed in range(5):
        values = days(np.random.default_rng([seed, 7]), phi, heavy=False)
        values[REFERENCE + 50 :, 0] += 0.5
        delays.append(next((day - 49 for day in alarms_of(values) if day >= 50), YEAR))
    assert np.median(delays) <= within
