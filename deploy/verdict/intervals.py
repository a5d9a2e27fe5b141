"""Intervals that are valid at every look: for how many times as often the canary is bad, and for one rate."""

import math

from deploy.verdict.distributions import log_beta

# Prior of the canary's share of bad counts: Jeffreys'.
PRIOR = 0.5
_STEPS, _CLOSE = 60, 1e-10


def ratio_interval(canary: int, baseline: int, share: float, alpha: float) -> tuple[float, float]:
    """Return the ratios of rates that a mixture over all ratios does not refute.

    A share q of all bad counts is refuted when the Beta mixture's likelihood is 1/α times its own (Robbins' method of
    mixtures; Lindon & Malek, NeurIPS 2022, arXiv 2011.03567), and q = r w / (r w + 1 - w) for the ratio r.

    Args:
        canary: Bad counts of the canary at one share.
        baseline: Bad counts of the champion.
        share: The canary's share w of all requests (0 to 1).
        alpha: Probability that some look's interval misses the ratio.

    Returns:
        Lower and upper end; infinity when nothing speaks against any large ratio.
    """
    if canary + baseline == 0:
        return 0.0, math.inf
    most = math.log(1 / alpha) - _log_mixture(canary, baseline)
    low = 0.0 if canary == 0 else _lower_odds(canary, baseline, most)
    high = math.inf if baseline == 0 else 1 / _lower_odds(baseline, canary, most)
    return low * (1 - share) / share, high * (1 - share) / share


def rate_bound(bad: int, requests: int, alpha: float) -> float:
    """Return the highest rate (0 to 1) that a mixture over all rates does not refute; valid whenever one stops.

    Args:
        bad: Bad requests, at most all of them.
        requests: All requests.
        alpha: Probability that the rate is higher, at some time.
    """
    if bad == requests:
        return 1.0
    odds = _lower_odds(requests - bad, bad, math.log(1 / alpha) - _log_mixture(bad, requests - bad))
    return 1 / (1 + odds)


def _lower_odds(found: int, others: int, most: float) -> float:
    """Return the odds q / (1 - q) of the smaller solution q of -found log q - others log(1 - q) = most.

    By Newton's method in the log-odds: the left side is convex there, so that from a q that is too small every step
    ends before the solution.
    """
    odds = -most / found - math.log(-math.expm1(-most / found))  # -found log q alone is `most` here
    for _ in range(_STEPS):
        q = 1 / (1 + math.exp(-odds))
        excess = -found * math.log(q) - others * math.log1p(-q) - most
        slope = found - (found + others) * q
        if excess <= _CLOSE or slope <= 0:
            break
        odds += excess / slope
    return math.exp(odds)


def _log_mixture(canary: int, baseline: int) -> float:
    return log_beta(PRIOR + canary, PRIOR + baseline) - log_beta(PRIOR, PRIOR)
