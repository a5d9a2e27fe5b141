"""Loss, paired by shadow traffic and not, and series on which other judges are known to be wrong."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from deploy.verdict.means import Mean, MeanPlan
from deploy.verdict.signs import Dispersion, SignPlan, Signs

# A loss between 0 and 1 with mean .35 and standard deviation .2, as a Beta variable; the canary's is 2 % larger.
MEAN, SPREAD, HARM = 0.35, 0.2, 0.02
CORRELATION = 0.9  # of the two versions' losses on one request, on the normal scale
LOOK, MOST = 100, 60_000  # requests
PLAN = MeanPlan(low=-1, high=1, tolerance=0, margin=0.05)

# As their reports give them: the canary's and the champion's minutes, and the verdict that is right.
ONES = (1.0,)
KNOWN_MISSES: dict[str, tuple[Sequence[float], Sequence[float], str]] = {
    "spinnaker 6278": ([100.0] * 7 + [1.0] * 3, ONES * 10, "roll back"),
    "kayenta 799": ([1.0, 4, 2, 3, 1], [0.0] * 5, "roll back"),
    "kayenta 426": ([0.0, 1, 2, 1, 0, 0], [0.0] * 6, "not yet"),
    "kayenta 780, case 1": (
        [10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17.0, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7],
        [1.0, 100, 4, 101, 5, 102, 6, 103, 7, 104, 8, 105, 9, 106, 17],
        "dispersion",
    ),
}


def requests_until_found(runs: int) -> dict[str, float]:
    """Return the median requests after which the canary's larger loss is found, by how its requests were answered.

    Paired, both versions answer the same requests; else half of the requests are each one's.
    """
    return {
        name: float(np.median([_until_found(np.random.default_rng(seed), pairs=pairs) for seed in range(runs)]))
        for name, pairs in (("paired", True), ("unpaired", False))
    }


def _until_found(random: np.random.Generator, *, pairs: bool) -> int:
    mean, requests = Mean(), 0
    for differences in _looks(random, pairs=pairs):
        requests += LOOK
        mean = mean.take(PLAN, differences)
        if mean.evidence_worse(PLAN) >= 1 / PLAN.alpha or requests >= MOST:
            break
    return requests


def _looks(random: np.random.Generator, *, pairs: bool) -> Iterator[list[float]]:
    while True:
        canary, champion = _losses(random, LOOK)
        if not pairs:  # of so many requests each answers half, and none is answered by both
            canary, champion = canary[: LOOK // 2], champion[LOOK // 2 :]
        yield list(canary - champion)


def _losses(random: np.random.Generator, requests: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw losses (requests,) of both versions; the canary's mean is larger by HARM."""
    common, own = np.sqrt(CORRELATION), np.sqrt(1 - CORRELATION)
    shared = random.standard_normal(requests)
    canary, champion = (norm.cdf(common * shared + own * random.standard_normal(requests)) for _ in range(2))
    return _quantiles(canary, MEAN * (1 + HARM)), _quantiles(champion, MEAN)


def _quantiles(chances: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    weight = mean * (1 - mean) / SPREAD**2 - 1
    found: NDArray[np.float64] = beta.ppf(chances, mean * weight, (1 - mean) * weight)
    return found


def known_misses() -> list[dict[str, Any]]:
    """Judge each series minute by minute; return rows with what was said and what is right."""
    return [
        {"cell": name, "rule": "Flywheel", "said": said, "right": right, "is_right": said == right}
        for name, (canary, champion, right) in KNOWN_MISSES.items()
        for said in (_said(canary, champion),)
    ]


def _said(canary: Sequence[float], champion: Sequence[float]) -> str:
    plan, signs, dispersion = SignPlan(minutes=len(canary)), Signs(), Dispersion()
    differs = False
    for mine, theirs in zip(canary, champion, strict=True):
        signs, worse = signs.take(plan, mine, theirs)
        if worse:
            return "roll back"
        dispersion, found = dispersion.take(plan, mine, theirs)
        differs = differs or found
    return "dispersion" if differs else "not yet"
