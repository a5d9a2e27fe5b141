"""How others judge a canary: their rules as documented and as they behave, written anew over arrays of counts.

Each takes the streams of a world, (n_runs, n_looks), and says for every run at which look it rolls back or promotes.
A look is one interval of their analysis. Whoever sets a threshold is taken to allow twice the usual error rate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm, rankdata

from benchmarks.canary_worlds import SHARE, Counts, Streams

ALPHA = 0.05
ALLOWED = 2.0  # times the base rate: 99 % of requests must succeed where 0.5 % fail
# docs.flagger.app: threshold 5 in its tutorials; maxWeight 50 and stepWeight 5, so ten steps, in "How it works".
FLAGGER_FAILED, FLAGGER_STEPS = 5, 10
ARGO_LIMIT = 3  # argo-rollouts.readthedocs.io, "Analysis": failureLimit of the examples
# Kayenta, NetflixACAJudge: tolerance and confidence; judged at intervals over all data so far.
KAYENTA_TOLERANCE, KAYENTA_CONFIDENCE, KAYENTA_EVERY = 0.25, 0.98, 10
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What a rule did: for every run the look, from 1, at which it rolled back or promoted; 0 where it did not."""

    rolled_back: Counts
    promoted: Counts


Rule = Callable[[Streams, float], Outcome]


def flagger(streams: Streams, base_rate: float) -> Outcome:
    """Roll back at so many failed checks, promote after so many passed ones.

    docs.flagger.app, "How it works" and "Metrics": a check fails when the window's success rate is below the threshold,
    or when there was no traffic (its controller: "Halt advancement no values found"). Only a check that passed advances
    the weight; the rollout ends when failed checks reach `threshold`.
    """
    failed = _below_objective(streams, base_rate)
    back, done = _first(failed.cumsum(axis=1) >= FLAGGER_FAILED), _first((~failed).cumsum(axis=1) >= FLAGGER_STEPS)
    stopped = (back > 0) & ((done == 0) | (back < done))
    return Outcome(np.where(stopped, back, 0), np.where(stopped, 0, done))


def argo_rollouts(streams: Streams, base_rate: float) -> Outcome:
    """Roll back when more measurements failed than failureLimit, promote when the last one has been taken.

    argo-rollouts.readthedocs.io, "Analysis", "Failure Conditions and Failure Limit": failureLimit is the number of
    failures that are allowed (its controller: "failed (4) > failureLimit (3)"; the documentation's prose says three).
    Under a successCondition alone, no traffic (NaN) is a failure too: "NaN and Infinity".
    """
    failed = _below_objective(streams, base_rate)
    return _until_the_end(_first(failed.cumsum(axis=1) > ARGO_LIMIT), failed.shape[1])


def kayenta(streams: Streams, base_rate: float) -> Outcome:
    """Roll back when the series of error rates is classified as High: the one metric's score is then 0 of 100.

    Spinnaker documentation, "How canary judgment works", and Kayenta's NetflixACAJudge: a Mann-Whitney U test of the
    values of each minute, direction "increase"; High when the lower end of the 98 % interval of the shift is above a
    quarter of its Hodges-Lehmann estimate. Outliers are kept, as by default.
    """
    canary, baseline = _percent(streams)
    looks = canary.shape[1]
    high = np.zeros(canary.shape, dtype=bool)
    for until in range(KAYENTA_EVERY, looks + 1, KAYENTA_EVERY):
        high[:, until - 1] = is_high(canary[:, :until], baseline[:, :until])
    return _until_the_end(_first(high), looks)


def z_test_each_look(streams: Streams, base_rate: float) -> Outcome:
    """Roll back when a pooled two-proportion z-test of all requests so far is significant, one-sided, at any look."""
    seen, bad, others, worse = (counts.cumsum(axis=1) for counts in _four(streams))
    pooled = (bad + worse) / np.maximum(seen + others, 1)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(seen, 1) + 1 / np.maximum(others, 1)))
    difference = bad / np.maximum(seen, 1) - worse / np.maximum(others, 1)
    return _until_the_end(_first((spread > 0) & (difference > norm.isf(ALPHA) * spread)), seen.shape[1])


def exact_at_the_end(streams: Streams, base_rate: float) -> Outcome:
    """Judge once, at the last look: given all errors, those of the canary are Binomial(errors, its share)."""
    bad, worse = streams.canary_errors.sum(axis=1), streams.baseline_errors.sum(axis=1)
    looks = streams.canary_errors.shape[1]
    return _until_the_end(np.where(binom.sf(bad - 1, bad + worse, SHARE) <= ALPHA, looks, 0), looks)


RIVALS: dict[str, Rule] = {
    "Flagger": flagger,
    "Argo Rollouts": argo_rollouts,
    "Kayenta": kayenta,
    "z-test each look": z_test_each_look,
    "exact test at the end": exact_at_the_end,
}


def _four(streams: Streams) -> tuple[Counts, Counts, Counts, Counts]:
    return streams.canary_requests, streams.canary_errors, streams.baseline_requests, streams.baseline_errors


def _below_objective(streams: Streams, base_rate: float) -> Masks:
    """Say which windows of the canary succeed less often than the objective; one without traffic does."""
    # Written without a division, so that a window at the objective is not below it by a rounding.
    below = streams.canary_errors > ALLOWED * base_rate * streams.canary_requests + 1e-9
    failed: Masks = below | (streams.canary_requests == 0)
    return failed


def _percent(streams: Streams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both arms' error rates by look, in percent; no traffic is no error."""
    canary = 100 * streams.canary_errors / np.maximum(streams.canary_requests, 1)
    return canary, 100 * streams.baseline_errors / np.maximum(streams.baseline_requests, 1)


def is_high(canary: NDArray[np.float64], baseline: NDArray[np.float64]) -> Masks:
    """Say which runs' series, (n_runs, n_looks) each, are High.

    The lower end of the interval is the shift at which the statistic, which falls as the shift rises, passes the
    quantile (Hodges & Lehmann 1963). So it is above a bound exactly when the statistic at that bound still is.
    """
    count = canary.shape[1]
    estimate = np.median((canary[:, :, None] - baseline[:, None, :]).reshape(len(canary), -1), axis=1)
    shifted = canary - KAYENTA_TOLERANCE * np.abs(estimate)[:, None]
    both = np.concatenate([shifted, baseline], axis=1)
    excess = rankdata(both, axis=1)[:, :count].sum(axis=1) - count * (count + 1) / 2 - count * count / 2
    # Variance under ties, and the correction for continuity: Lehmann, Nonparametrics, 1975, 1.4.
    variance = count * count / 12 * (2 * count + 1 - _ties(both) / (2 * count * (2 * count - 1)))
    usable = variance > 0
    statistic = (excess - 0.5 * np.sign(excess)) / np.sqrt(np.where(usable, variance, 1.0))
    high: Masks = usable & (estimate > 0) & (statistic > norm.isf((1 - KAYENTA_CONFIDENCE) / 2))
    return high


def _ties(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Σ (t³ - t) over groups of t equal values of each row, as Σ over values of t² - 1."""
    equal = rankdata(values, method="max", axis=1) - rankdata(values, method="min", axis=1) + 1
    total: NDArray[np.float64] = (equal.astype(float) ** 2 - 1).sum(axis=1)
    return total


def _first(mask: Masks) -> Counts:
    """Return the first look, from 1, at which a row is true; 0 if at none."""
    return np.where(mask.any(axis=1), mask.argmax(axis=1) + 1, 0)


def _until_the_end(rolled_back: Counts, looks: int) -> Outcome:
    """Promote at the last look whatever was not rolled back."""
    return Outcome(rolled_back, np.where(rolled_back == 0, looks, 0))
