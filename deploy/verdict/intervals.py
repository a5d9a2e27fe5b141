"""The interval for how many times as often the canary is bad, valid at every look."""

import math
from collections.abc import Callable

from deploy.verdict.distributions import log_beta

# Prior of the canary's share of bad counts: Jeffreys'.
PRIOR = 0.5
_HALVINGS = 60


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
    total, mixture = canary + baseline, _log_mixture(canary, baseline)
    if total == 0:
        return 0.0, math.inf

    def refuted(q: float) -> bool:
        return mixture - canary * math.log(q) - baseline * math.log1p(-q) >= math.log(1 / alpha)

    peak = canary / total
    low = 0.0 if canary == 0 else _edge(refuted, 0.0, peak)
    high = 1.0 if baseline == 0 else _edge(refuted, 1.0, peak)
    return _ratio(low, share), _ratio(high, share)


def _edge(refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    """Bisect for where refuting ends; the likelihood falls to both sides of its peak."""
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if 0 < middle < 1 and not refuted(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _ratio(q: float, share: float) -> float:
    return math.inf if q >= 1 else q * (1 - share) / ((1 - q) * share)


def _log_mixture(canary: int, baseline: int) -> float:
    return log_beta(PRIOR + canary, PRIOR + baseline) - log_beta(PRIOR, PRIOR)
