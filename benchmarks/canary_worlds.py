"""Streams of looks at a canary: what its and the champion's requests would have shown, healthy or not.

Flows in: a World, a number of runs and a generator. Flows out: four arrays of counts, (n_runs, n_looks). In every world
the mean error rate of a champion's request is `base_rate` and that of a canary's `ratio` times it; a disturbance only
moves errors together. Each world is played with the same 10 pods, of which the canary's is one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Rates = NDArray[np.float64]

PODS = 10
SHARE = 1 / PODS  # of requests that go to the canary
LOOKS = 50
# A spell of trouble: errors ten times as frequent, for five looks at a time, in one look of twenty.
WORSE, SPELL_LOOKS, SPELL_SHARE = 10.0, 5.0, 0.05
PERSISTENT_SHARE = 0.1  # of pods that are bad for as long as they live
# An outage: half of what a pod is asked fails, for two looks, in one look of two hundred.
OUTAGE_RATE, OUTAGE_LOOKS, OUTAGE_SHARE = 0.5, 2.0, 0.005
SESSION_LOOKS = 5  # over which the errors of one user are spread


class Disturbance(StrEnum):
    """What moves errors together; all but NONE and SHARED_BURSTS break a test that takes requests for independent."""

    NONE = "independent"
    SHARED_BURSTS = "shared bursts"  # something that both arms need fails
    OWN_BURSTS = "bursts of a pod"
    BAD_POD = "a pod that stays bad"
    OUTAGES = "pod outages"
    USERS_5 = "users with 5 errors"  # sticky: all of a user's requests go to one arm
    USERS_20 = "users with 20 errors"


USER_ERRORS = {Disturbance.USERS_5: 5, Disturbance.USERS_20: 20}


@dataclass(frozen=True)
class World:
    """What is simulated.

    Args:
        canary_requests: Mean number of requests to the canary in a look.
        base_rate: Mean share of the champion's requests that fail, 0 to 1.
        ratio: The canary's error rate over the champion's; 1 is healthy.
        disturbance: What moves errors together.
    """

    canary_requests: int
    base_rate: float
    ratio: float = 1.0
    disturbance: Disturbance = Disturbance.NONE

    @property
    def name(self) -> str:
        """Return the name by which tables and options call this world."""
        harm = "healthy" if self.healthy else f"x {self.ratio:g}"
        return f"{self.disturbance}, {self.canary_requests} a look, {self.base_rate:.1%}, {harm}"

    @property
    def healthy(self) -> bool:
        """Say whether to roll back would be false."""
        return self.ratio == 1

    @property
    def valid_per_request(self) -> bool:
        """Say whether a test of requests claims its α here: given all errors, each is the canary's by its share."""
        return self.disturbance in (Disturbance.NONE, Disturbance.SHARED_BURSTS)


@dataclass(frozen=True)
class Streams:
    """Counts of each look, (n_runs, n_looks)."""

    canary_requests: Counts
    canary_errors: Counts
    baseline_requests: Counts
    baseline_errors: Counts


def draw(world: World, runs: int, random: np.random.Generator) -> Streams:
    """Play a world.

    Args:
        world: What is simulated.
        runs: Number of rollouts, each of LOOKS looks.
        random: Source of chance.
    """
    if world.disturbance in USER_ERRORS:
        return _of_users(world, _requests(world, runs, random), random)
    requests, errors = draw_pods(world, runs, random)
    return _arms(requests, errors[..., 0], errors[..., 1:].sum(axis=-1))


def draw_pods(world: World, runs: int, random: np.random.Generator) -> tuple[Counts, Counts]:
    """Play a world whose errors come by the pod; return requests and errors, (n_runs, n_looks, n_pods)."""
    requests = _requests(world, runs, random)
    rates = RATES[world.disturbance](world.base_rate, runs, random)
    harm = np.where(np.arange(PODS) == 0, world.ratio, 1.0)
    return requests, random.binomial(requests, np.minimum(rates * harm, 1.0))


def _requests(world: World, runs: int, random: np.random.Generator) -> Counts:
    total = round(world.canary_requests / SHARE)
    return random.multinomial(total, [SHARE] * PODS, size=(runs, LOOKS))


def _arms(requests: Counts, canary_errors: Counts, baseline_errors: Counts) -> Streams:
    """Put the first pod's requests against those of all others."""
    canary, baseline = requests[..., 0], requests[..., 1:].sum(axis=-1)
    return Streams(
        canary, np.minimum(canary_errors, canary), baseline, np.minimum(baseline_errors, baseline)
    )  # a user's errors are requests: there are no more of them


def _of_users(world: World, requests: Counts, random: np.random.Generator) -> Streams:
    """Let errors come by the user: each who has trouble has it `USER_ERRORS` times, within a session."""
    runs, looks, total = requests.shape[0], requests.shape[1], world.canary_requests / SHARE
    each = USER_ERRORS[world.disturbance]
    arms = []
    for share, harm in ((SHARE, world.ratio), (1 - SHARE, 1.0)):
        # Sessions that began before the first look reach into it.
        users = random.poisson(total * share * world.base_rate * harm / each, size=(runs, looks + SESSION_LOOKS - 1))
        spread = random.multinomial(users * each, [1 / SESSION_LOOKS] * SESSION_LOOKS)
        late = [
            spread[:, SESSION_LOOKS - 1 - lag : SESSION_LOOKS - 1 - lag + looks, lag] for lag in range(SESSION_LOOKS)
        ]
        arms.append(np.sum(late, axis=0))
    return _arms(requests, arms[0], arms[1])


def _spells(shape: tuple[int, int], share: float, length: float, random: np.random.Generator) -> NDArray[np.bool_]:
    """Return who is in trouble at each look, (n_runs, LOOKS, n): a two-state Markov chain in its steady state."""
    end = 1 / length
    begin = end * share / (1 - share)
    now = random.random(shape) < share
    looks = []
    for _ in range(LOOKS):
        looks.append(now)
        chance = random.random(shape)
        now = np.where(now, chance >= end, chance < begin)
    return np.stack(looks, axis=1)


def _steady(base: float, runs: int, random: np.random.Generator) -> Rates:
    return np.full((runs, 1, PODS), base)


def _shared_bursts(base: float, runs: int, random: np.random.Generator) -> Rates:
    return _worse(base, _spells((runs, 1), SPELL_SHARE, SPELL_LOOKS, random), SPELL_SHARE)


def _own_bursts(base: float, runs: int, random: np.random.Generator) -> Rates:
    return _worse(base, _spells((runs, PODS), SPELL_SHARE, SPELL_LOOKS, random), SPELL_SHARE)


def _bad_pod(base: float, runs: int, random: np.random.Generator) -> Rates:
    return _worse(base, random.random((runs, 1, PODS)) < PERSISTENT_SHARE, PERSISTENT_SHARE)


def _outages(base: float, runs: int, random: np.random.Generator) -> Rates:
    """Let pods fail in outages; the other errors are as many fewer as those bring."""
    out = _spells((runs, PODS), OUTAGE_SHARE, OUTAGE_LOOKS, random)
    other = (base - OUTAGE_SHARE * OUTAGE_RATE) / (1 - OUTAGE_SHARE)
    if other < 0:
        least = OUTAGE_SHARE * OUTAGE_RATE
        raise ValueError(f"base_rate {base} is below {least}, which outages alone bring; take more.")
    return np.where(out, OUTAGE_RATE, other)


def _worse(base: float, trouble: NDArray[np.bool_], share: float) -> Rates:
    """Return rates that are WORSE times as high in trouble, with the mean `base`."""
    usual = base / (1 + share * (WORSE - 1))
    return np.where(trouble, usual * WORSE, usual)


RATES: dict[Disturbance, Callable[[float, int, np.random.Generator], Rates]] = {
    Disturbance.NONE: _steady,
    Disturbance.SHARED_BURSTS: _shared_bursts,
    Disturbance.OWN_BURSTS: _own_bursts,
    Disturbance.BAD_POD: _bad_pod,
    Disturbance.OUTAGES: _outages,
}


def cells() -> list[World]:
    """Return the worlds of a run: all ratios where requests are independent, healthy ones where something moves."""
    sizes, bases, ratios = (20, 100), (0.001, 0.005, 0.01), (1.0, 1.5, 2.0, 3.0, 5.0)
    plain = [World(size, base, ratio) for size in sizes for base in bases for ratio in ratios]
    moved = [kind for kind in Disturbance if kind is not Disturbance.NONE]
    return plain + [World(size, 0.01, disturbance=kind) for kind in moved for size in sizes]
