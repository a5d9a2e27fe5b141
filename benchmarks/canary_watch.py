"""A version that turns bad long after its promotion: how soon the watch finds it, and how seldom it is wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.canary_rates import Row, generator
from deploy.verdict.watching import Alarms, MeanWatch, RateWatch, mean_watch, rate_watch

# A look a minute at ten requests a second; 1 % of requests failed in the rollout, and losses are as of a Beta variable.
REQUESTS, BASE_RATE, LOSSES, LOSS = 600, 0.01, 60, (2.0, 5.0)
ROLLOUT_REQUESTS, ROLLOUT_LOSSES = 30_000, 3000
GOOD_LOOKS = 300  # before it turns bad
# False alarms are counted where they are frequent: one in 500 looks; delays, where there is one in ten years.
FREQUENT, RARE = Alarms(a_year=1, looks_a_year=500), Alarms()
MOST = 3000


@dataclass(frozen=True)
class Kind:
    """What is watched: errors or a loss, at a multiple of what it was; 0 is at the bound, the worst of what is good."""

    watched: str
    factor: float


WATCHED = {
    "watch, errors at the bound": Kind("errors", 0),
    "watch, errors x 2": Kind("errors", 2),
    "watch, errors x 3": Kind("errors", 3),
    "watch, errors x 5": Kind("errors", 5),
    "watch, loss at the bound": Kind("loss", 0),
    "watch, loss x 1.5": Kind("loss", 1.5),
    "watch, loss x 2": Kind("loss", 2),
}


def watch(name: str, runs: int) -> Row:
    """Watch versions until the alarm, at the bound from the start, or turned bad after a good time.

    Looks are counted from where it turned bad; MOST where there was no alarm until then.
    """
    kind, random = WATCHED[name], generator(name)
    alarms = RARE if kind.factor else FREQUENT
    begin = _reference(kind.watched, alarms, random)
    looks = np.array([_until_alarm(kind, begin, random) for _ in range(runs)])
    return {
        "cell": name,
        "rule": "Flywheel, watch",
        "runs": runs,
        "mean_looks": round(float(looks.mean()), 1),
        "median_looks": float(np.median(looks)),
        "longest": int(looks.max()),
        "looks_between_false_alarms": alarms.threshold,
    }


def _reference(watched: str, alarms: Alarms, random: np.random.Generator) -> RateWatch | MeanWatch:
    if watched == "errors":
        return rate_watch(round(ROLLOUT_REQUESTS * BASE_RATE), ROLLOUT_REQUESTS, alarms)
    return mean_watch(random.beta(*LOSS, size=ROLLOUT_LOSSES).tolist(), (0.0, 1.0), alarms)


def _until_alarm(kind: Kind, begin: RateWatch | MeanWatch, random: np.random.Generator) -> int:
    now, usual = begin, BASE_RATE if kind.watched == "errors" else LOSS[0] / sum(LOSS)
    level = kind.factor * usual or begin.bound
    good = GOOD_LOOKS if kind.factor else 0
    for look in range(1 - good, MOST + 1):
        now = _taken(now, usual if look <= 0 else level, random)
        if now.worse:
            return max(look, 0)  # a false alarm in good times found it in no time, and is never seen at RARE
    return MOST


def _taken(now: Any, level: float, random: np.random.Generator) -> Any:
    if isinstance(now, RateWatch):
        return now.take(int(random.binomial(REQUESTS, level)), REQUESTS)
    weight = sum(LOSS)
    return now.take(random.beta(level * weight, (1 - level) * weight, size=LOSSES).tolist())
