"""The simulated canaries: they fail as often as they claim, and only the named disturbances break independence."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.canary_worlds import LOOKS, SHARE, Disturbance, Streams, World, cells, draw

RUNS = 1500
INDEPENDENT = [kind for kind in Disturbance if World(100, 0.01, disturbance=kind).valid_per_request]
BROKEN = [kind for kind in Disturbance if kind not in INDEPENDENT]


def played(world: World, runs: int = RUNS) -> Streams:
    return draw(world, runs, np.random.default_rng(11))


def dispersion(streams: Streams) -> float:
    """Variance of the canary's errors beyond what a binomial share of each run's errors has; 1 is none."""
    canary = streams.canary_errors.sum(axis=1)
    errors = canary + streams.baseline_errors.sum(axis=1)
    scores: NDArray[np.float64] = (canary - SHARE * errors) / np.sqrt(errors * SHARE * (1 - SHARE))
    return float(np.mean(scores**2))


@pytest.mark.parametrize("disturbance", list(Disturbance))
def test_every_world_fails_as_often_as_it_claims(disturbance: Disturbance) -> None:
    streams = played(World(100, 0.01, disturbance=disturbance))
    assert streams.canary_errors.sum() / streams.canary_requests.sum() == pytest.approx(0.01, rel=0.12)
    assert streams.baseline_errors.sum() / streams.baseline_requests.sum() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("base_rate", [0.001, 0.005, 0.01])
@pytest.mark.parametrize("ratio", [1.5, 2, 3, 5])
def test_a_bad_canary_fails_by_its_ratio_more_often(base_rate: float, ratio: float) -> None:
    streams = played(World(100, base_rate, ratio), 600)
    canary = streams.canary_errors.sum() / streams.canary_requests.sum()
    assert canary / (streams.baseline_errors.sum() / streams.baseline_requests.sum()) == pytest.approx(ratio, rel=0.05)


@pytest.mark.parametrize("requests", [20, 100])
def test_the_canary_gets_its_share_of_requests(requests: int) -> None:
    streams = played(World(requests, 0.01), 300)
    assert streams.canary_requests.shape == (300, LOOKS)
    assert streams.canary_requests.mean() == pytest.approx(requests, rel=0.01)
    assert set(np.unique(streams.canary_requests + streams.baseline_requests)) == {10 * requests}


@pytest.mark.parametrize("disturbance", INDEPENDENT)
def test_where_a_test_of_requests_claims_validity_errors_fall_to_the_canary_by_its_share(
    disturbance: Disturbance,
) -> None:
    streams = played(World(100, 0.01, disturbance=disturbance))
    assert dispersion(streams) == pytest.approx(1, abs=0.12)
    canary = streams.canary_errors.sum(axis=1)
    beyond = binom.sf(canary - 1, canary + streams.baseline_errors.sum(axis=1), SHARE) <= 0.05
    assert beyond.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize("disturbance", BROKEN)
def test_the_other_disturbances_move_errors_together(disturbance: Disturbance) -> None:
    assert dispersion(played(World(100, 0.01, disturbance=disturbance))) > 1.5


def test_shared_bursts_make_both_arms_fail_at_the_same_time() -> None:
    streams = played(World(100, 0.01, disturbance=Disturbance.SHARED_BURSTS), 200)
    steady = played(World(100, 0.01), 200)
    together = np.corrcoef(streams.canary_errors.ravel(), streams.baseline_errors.ravel())[0, 1]
    assert together > 0.5
    assert abs(np.corrcoef(steady.canary_errors.ravel(), steady.baseline_errors.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("disturbance", list(Disturbance))
def test_nobody_fails_more_often_than_asked(disturbance: Disturbance) -> None:
    streams = played(World(20, 0.01, disturbance=disturbance), 300)
    assert (streams.canary_errors <= streams.canary_requests).all()
    assert (streams.baseline_errors <= streams.baseline_requests).all()
    assert (streams.canary_errors >= 0).all()


def test_the_same_seed_gives_the_same_streams() -> None:
    first, second = (played(World(20, 0.01, disturbance=Disturbance.OWN_BURSTS), 20) for _ in range(2))
    assert (first.canary_errors == second.canary_errors).all()


def test_an_outage_beyond_the_base_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="which outages alone bring"):
        played(World(20, 0.001, disturbance=Disturbance.OUTAGES), 2)


def test_every_cell_has_a_name_of_its_own_and_bad_canaries_a_healthy_one_to_hold_against() -> None:
    worlds = cells()
    assert len({world.name for world in worlds}) == len(worlds)
    assert all(World(world.canary_requests, world.base_rate) in worlds for world in worlds)
