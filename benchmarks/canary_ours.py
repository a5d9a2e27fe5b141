"""Flywheel's judge as it stands, look by look: on a stream at one weight, and through all steps of a rollout."""

import math
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.canary_rivals import Outcome
from benchmarks.canary_worlds import SHARE, Streams, World, draw
from deploy.verdict import Call, Look, Plan, State, judge

STEPS = (1, 5, 25, 50)
REQUESTS_PER_SECOND, BASE_RATE, LOOK_SECONDS = 500, 0.005, 5.0
MOST_MINUTES = 30.0  # after which a rollout has not been promoted
ALPHA = 0.05


@dataclass(frozen=True)
class Rollout:
    """A rollout through all steps: its last call, the minutes it took, and whether it needed its retry."""

    call: Call
    minutes: float
    retried: bool = False


def flywheel(streams: Streams, base_rate: float) -> Outcome:
    """Judge every run look by look at one weight.

    The canary stays where it is when its gate opens, and is looked at until the last look: that gives the guard all
    chances to be wrong, and a bad canary that was promoted can still be found. `promoted` tells which came first.
    """
    plan = Plan(steps=(round(SHARE * 100),))
    ends = [_watch(plan, looks) for looks in _looks(streams)]
    return Outcome(np.array([back for back, _ in ends]), np.array([promoted for _, promoted in ends]))


def _watch(plan: Plan, looks: list[Look]) -> tuple[int, int]:
    """Return at which look, from 1, it rolled back, and at which it would have promoted before; 0 for never."""
    state, promoted = State(), 0
    for number, look in enumerate(looks, start=1):
        state, verdict = judge(plan, state, look)
        if verdict.call is Call.ROLL_BACK:
            return number, promoted
        if verdict.call is Call.PROMOTE and not promoted:
            promoted = number
    return 0, promoted


def roll_out(ratio: float, random: np.random.Generator) -> Rollout:
    """Take a canary through all steps; one that was rolled back gets one retry, each at half of α."""
    first = _attempt(ratio, random)
    if first.call is not Call.ROLL_BACK:
        return first
    second = _attempt(ratio, random)
    return Rollout(second.call, first.minutes + second.minutes, retried=True)


def _attempt(ratio: float, random: np.random.Generator) -> Rollout:
    plan, state = Plan(steps=STEPS, alpha=ALPHA / 2), State()
    most = math.ceil(MOST_MINUTES * 60 / LOOK_SECONDS)
    for number in range(1, most + 1):
        state, verdict = judge(plan, state, _look(plan.steps[state.step] / 100, ratio, random))
        over = verdict.call is Call.PROMOTE and state.step + 1 == len(plan.steps)
        if over or verdict.call is Call.ROLL_BACK:
            return Rollout(verdict.call, number * LOOK_SECONDS / 60)
        if verdict.call is Call.PROMOTE:
            state = state.next_step()
    return Rollout(Call.NOT_YET, MOST_MINUTES)


def _look(share: float, ratio: float, random: np.random.Generator) -> Look:
    total = int(random.poisson(REQUESTS_PER_SECOND * LOOK_SECONDS))
    canary = int(random.binomial(total, share))
    errors = int(random.binomial(canary, BASE_RATE * ratio))
    return Look(canary, errors, total - canary, int(random.binomial(total - canary, BASE_RATE)))


def judge_milliseconds(world: World, rollouts: int = 20) -> dict[str, float]:
    """Time calls of `judge`, one metric and look each: their median, 99th percentile and longest, in milliseconds."""
    plan, taken = Plan(steps=(round(SHARE * 100),)), []
    for run in _looks(draw(world, rollouts, np.random.default_rng(0))):
        state = State()
        for look in run:
            began = time.perf_counter()
            state, _ = judge(plan, state, look)
            taken.append(1000 * (time.perf_counter() - began))
    middle, high = np.quantile(taken, [0.5, 0.99])
    return {"median": round(float(middle), 4), "p99": round(float(high), 4), "longest": round(max(taken), 4)}


def _looks(streams: Streams) -> list[list[Look]]:
    """Return every run's looks, as the judge takes them."""
    parts = (streams.canary_requests, streams.canary_errors, streams.baseline_requests, streams.baseline_errors)
    return [[Look(*counts) for counts in run] for run in np.stack(parts, axis=-1).tolist()]
