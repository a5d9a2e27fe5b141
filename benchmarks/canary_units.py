"""Unit mode where errors come together: pods or users are what is compared, by the engine with a plan of such units."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.canary_ours import firsts
from benchmarks.canary_rates import Rate, Row, generator
from benchmarks.canary_worlds import LOOKS, SESSION_LOOKS, SHARE, USER_ERRORS, Disturbance, World, draw_pods
from deploy.verdict_forecast import cautions
from deploy.verdict_metrics import PodsSpec, UsersSpec
from deploy.verdict_plan import PlanSpec

PER_POD = (Disturbance.OUTAGES, Disturbance.OWN_BURSTS, Disturbance.BAD_POD)
# Errors with which a user of so many enters, on average: those of its first look with any, cut at the cap.
FIRST_ERRORS = {5: 1.5, 20: 3.5}
HARM = 3.0
Arms = tuple[dict[str, int], dict[str, int]]


def worlds() -> list[World]:
    """Return the worlds of a run: where errors come together, healthy and with harm."""
    kinds = (*PER_POD, *USER_ERRORS)
    return [World(size, 0.01, ratio, kind) for kind in kinds for size in (20, 100) for ratio in (1.0, HARM)]


def name_of(world: World) -> str:
    """Return the name by which tables and options call a world whose units are judged."""
    return f"units: {world.name}"


def plan_of(world: World) -> PlanSpec:
    """Return the plan for a world whose kind of units, traffic and usual error rate are known."""
    errors, steps = LOOKS * world.canary_requests / SHARE * world.base_rate, (round(SHARE * 100),)
    if world.disturbance in PER_POD:
        return PlanSpec(steps=steps, metrics={"units": PodsSpec(kind="pods", part=1.0, planned=errors)})
    each = USER_ERRORS[world.disturbance]
    planned = errors / each * FIRST_ERRORS[each]
    return PlanSpec(steps=steps, metrics={"units": UsersSpec(kind="users", part=1.0, planned=planned)})


def play_units(world: World, runs: int) -> Row:
    """Let unit mode judge a world's runs; `warned` is what its plan says before it starts."""
    plan, random, pods = plan_of(world), generator(world.name), world.disturbance in PER_POD
    looks = _pods(world, runs, random) if pods else _users(world, runs, random)
    rate = Rate(int((firsts(plan.build()["units"], looks).worse > 0).sum()), runs)
    low, high = rate.interval(0.95)
    return {
        "cell": name_of(world),
        "rule": f"Flywheel, {'pods' if pods else 'users'} as units",
        "runs": runs,
        "rolled_back": rate.share,
        "low_95": round(low, 4),
        "high_95": round(high, 4),
        "low_99": round(rate.interval(0.99)[0], 4),
        "false": world.healthy,
        "claims_validity": world.disturbance is not Disturbance.BAD_POD,
        "warned": cautions(plan, canary_pods=1),
    }


def _pods(world: World, runs: int, random: np.random.Generator) -> list[list[tuple[list[int], list[int]]]]:
    _, errors = draw_pods(world, runs, random)
    return [[(pods[:1], pods[1:]) for pods in run] for run in errors.tolist()]


def _users(world: World, runs: int, random: np.random.Generator) -> list[list[Arms]]:
    """Draw runs whose users have their errors within a session; the same law as the streams of such a world."""
    each, total = USER_ERRORS[world.disturbance], world.canary_requests / SHARE
    per_look = total * world.base_rate / each
    means = (per_look * SHARE * world.ratio, per_look * (1 - SHARE))
    return [_run(means, each, random) for _ in range(runs)]


def _run(means: Sequence[float], each: int, random: np.random.Generator) -> list[Arms]:
    looks: list[Arms] = [({}, {}) for _ in range(LOOKS)]
    for arm, mean in enumerate(means):
        # Sessions that began before the first look reach into it.
        begins = np.repeat(np.arange(1 - SESSION_LOOKS, LOOKS), random.poisson(mean, LOOKS + SESSION_LOOKS - 1))
        spread: Any = random.multinomial(each, [1 / SESSION_LOOKS] * SESSION_LOOKS, size=len(begins))
        for user, (begin, counts) in enumerate(zip(begins.tolist(), spread.tolist(), strict=True)):
            for lag, count in enumerate(counts):
                if count and 0 <= begin + lag < LOOKS:
                    looks[begin + lag][arm][f"{arm}-{user}"] = count
    return looks
