"""Flywheel's engine on a stream at one weight: the default plan with all its guards, and errors alone.

Metrics never see each other, and any of them rolls back: so a run is judged metric by metric, and the first look at
which one of them finds the canary worse is where the engine stops (tests hold the two against each other). Latency and
loss are the same in all worlds of one size, healthy always.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.canary_rivals import Outcome
from benchmarks.canary_worlds import LOOKS, SHARE, Counts, Streams, World, draw
from deploy.verdict.exceedance import SlowLook
from deploy.verdict.looks import Look
from deploy.verdict.means import differences
from deploy.verdict.readings import Metric
from deploy.verdict_metrics import ErrorsSpec, Thresholds
from deploy.verdict_plan import PlanSpec, default_metrics

THRESHOLDS, LOSS_RANGE = Thresholds(p90=0.1, p99=0.4), (0.0, 1.0)
SLOW = (0.1, 0.01)  # shares of requests over the champion's p90 and p99
KNOWN = 0.1  # of requests whose outcome is known, and so their loss
LOSS = (2.0, 5.0)  # of a Beta variable
Looks = Sequence[Sequence[Any]]  # (n_runs, n_looks), as a metric takes them


@dataclass(frozen=True)
class Firsts:
    """For every run, the look from 1 at which a metric first said so; 0 for never."""

    worse: Counts
    good: Counts


def plan_of(requests: int, guards: str = "all") -> PlanSpec:
    """Return the plan of a stream at one weight, whose requests of both arms are known: a preset schedule."""
    metrics = default_metrics(THRESHOLDS, LOSS_RANGE, planned_requests=requests)
    if guards == "errors":
        metrics = {"errors": ErrorsSpec(kind="errors", part=1.0, planned_requests=requests)}
    return PlanSpec(steps=(round(SHARE * 100),), metrics=metrics)


def flywheel(streams: Streams, healthy: Counts) -> Outcome:
    """Judge every run with all guards of the default plan.

    The canary stays where it is when its gates open, and is looked at until the last look: that gives the guards all
    chances to be wrong, and a bad canary that was promoted can still be found. `promoted` tells which came first.

    Args:
        streams: Counts of each look.
        healthy: Where latency and loss, which nothing is wrong with, roll back each run, as `healthy_guards` has it.
    """
    errors = _errors(streams, "all")
    return _outcome(_earliest([errors.worse, healthy]), errors.good)


def flywheel_errors_alone(streams: Streams) -> Outcome:
    """Judge every run with the guard of errors alone, which then has all of α."""
    errors = _errors(streams, "errors")
    return _outcome(errors.worse, errors.good)


def _outcome(worse: Counts, good: Counts) -> Outcome:
    return Outcome(worse, np.where((worse == 0) | (good < worse), good, 0))


def _errors(streams: Streams, guards: str) -> Firsts:
    requests = LOOKS * int(streams.canary_requests[0, 0] + streams.baseline_requests[0, 0])  # the same in all looks
    return firsts(plan_of(requests, guards).build()["errors"], error_looks(streams))


def firsts(metric: Metric, looks: Looks) -> Firsts:
    """Let a metric judge every run by itself, until it finds the canary worse."""
    found = [_first(metric, run) for run in looks]
    worse, good = np.array(found, dtype=np.int64).T
    return Firsts(worse, good)


def _first(metric: Metric, run: Sequence[Any]) -> tuple[int, int]:
    good = 0
    for number, look in enumerate(run, start=1):
        metric = metric.take(look)
        reading = metric.reading()
        if reading.worse:
            return number, good
        if reading.good and not good:
            good = number
    return 0, good


def healthy_guards(world: World, runs: int) -> Counts:
    """Return where latency or loss roll back, which are healthy in all worlds: they go by the world's size alone."""
    requests = round(world.canary_requests / SHARE)
    random, metrics = np.random.default_rng(requests), plan_of(requests * LOOKS).build()
    worse = []
    for name, draw_ in HEALTHY.items():
        looks = [[draw_(SHARE, requests, random) for _ in range(LOOKS)] for _ in range(runs)]
        worse.append(firsts(metrics[name], looks).worse)
    return _earliest(worse)


def latency_look(share: float, requests: int, random: np.random.Generator) -> SlowLook:
    """Draw the slow requests of one look at two arms that are equally fast."""
    canary = int(np.clip(random.binomial(requests, share), 1, requests - 1))
    arms = [_slow(arm, random) for arm in (canary, requests - canary)]
    return SlowLook(tuple(Look(canary, arms[0][at], requests - canary, arms[1][at]) for at in (0, 1)))


def _slow(requests: int, random: np.random.Generator) -> tuple[int, int]:
    over_p90 = int(random.binomial(requests, SLOW[0]))
    return over_p90, int(random.binomial(over_p90, SLOW[1] / SLOW[0]))


def loss_look(share: float, requests: int, random: np.random.Generator) -> list[float]:
    """Draw the differences of one look at two arms whose losses have the same law."""
    known = int(random.binomial(requests, KNOWN))
    losses = random.beta(*LOSS, size=known).tolist()
    canary = int(random.binomial(known, share))
    return differences(losses[:canary], losses[canary:])


HEALTHY: dict[str, Callable[[float, int, np.random.Generator], Any]] = {"latency": latency_look, "loss": loss_look}


def error_looks(streams: Streams) -> list[list[Look]]:
    """Return every run's counts, as the metric of errors takes them."""
    parts = (streams.canary_requests, streams.canary_errors, streams.baseline_requests, streams.baseline_errors)
    return [[Look(*counts) for counts in run] for run in np.stack(parts, axis=-1).tolist()]


def judge_milliseconds(world: World, rollouts: int = 4) -> dict[str, dict[str, float]]:
    """Time a look by metric, to take it in and to read it: median, 99th percentile and longest, in milliseconds."""
    requests, random = round(world.canary_requests / SHARE), np.random.default_rng(0)
    looks: dict[str, Looks] = {
        "errors": error_looks(draw(world, rollouts, random)),
        **{
            name: [[draw_(SHARE, requests, random) for _ in range(LOOKS)] for _ in range(rollouts)]
            for name, draw_ in HEALTHY.items()
        },
    }
    metrics = plan_of(requests * LOOKS).build()
    return {name: _times([_timed(metrics[name], run) for run in runs]) for name, runs in looks.items()}


def _timed(metric: Metric, run: Sequence[Any]) -> list[float]:
    taken = []
    for look in run:
        began = time.thread_time()  # of this thread alone, whatever else the machine does
        metric = metric.take(look)
        metric.reading()
        taken.append(1000 * (time.thread_time() - began))
    return taken


def _times(taken: list[list[float]]) -> dict[str, float]:
    middle, high, longest = np.quantile(taken, [0.5, 0.99, 1.0])
    return {"median": round(float(middle), 4), "p99": round(float(high), 4), "longest": round(float(longest), 4)}


def _earliest(looks: Sequence[Counts]) -> Counts:
    """Return the first look at which any of several said so; 0 where none did."""
    never = LOOKS + 1
    first: NDArray[np.int64] = np.min([np.where(one == 0, never, one) for one in looks], axis=0)
    return np.where(first == never, 0, first)
