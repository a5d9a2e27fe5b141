"""Rollouts through all steps, judged by the engine look by look with the default plan, and their retries."""

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.canary_ours import LOSS_RANGE, THRESHOLDS, latency_look, loss_look
from deploy.verdict.calls import Call
from deploy.verdict.looks import Look
from deploy.verdict.several import StepLook, judging
from deploy.verdict_plan import PlanSpec, default_metrics

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


def roll_out(ratio: float, random: np.random.Generator) -> Rollout:
    """Take a canary through all steps; one that was rolled back gets one retry, each at half of α."""
    first = _attempt(ratio, random)
    if first.call is not Call.ROLL_BACK:
        return first
    second = _attempt(ratio, random)
    return Rollout(second.call, first.minutes + second.minutes, retried=True)


def _attempt(ratio: float, random: np.random.Generator) -> Rollout:
    plan = PlanSpec(steps=STEPS, alpha=ALPHA / 2, metrics=default_metrics(THRESHOLDS, LOSS_RANGE))
    now, step = judging(plan.build()), 0
    most = math.ceil(MOST_MINUTES * 60 / LOOK_SECONDS)
    for number in range(1, most + 1):
        now, judged = now.take(_look(step, ratio, random))
        over = judged.call is Call.PROMOTE and step + 1 == len(STEPS)
        if over or judged.call is Call.ROLL_BACK:
            return Rollout(judged.call, number * LOOK_SECONDS / 60)
        step += judged.call is Call.PROMOTE
    return Rollout(Call.NOT_YET, MOST_MINUTES)


def _look(step: int, ratio: float, random: np.random.Generator) -> StepLook:
    share, total = STEPS[step] / 100, int(random.poisson(REQUESTS_PER_SECOND * LOOK_SECONDS))
    canary = int(random.binomial(total, share))
    errors = int(random.binomial(canary, BASE_RATE * ratio))
    seen = Look(canary, errors, total - canary, int(random.binomial(total - canary, BASE_RATE)))
    return StepLook(
        step,
        {
            "errors": seen,
            "latency": latency_look(share, total, random),
            "loss": loss_look(share, total, random) or None,
        },
    )
