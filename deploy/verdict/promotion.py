"""The bets of the gate: an e-value against "the canary's error rate is higher by the margin or more".

Their average is an e-value too: Vovk & Wang, Ann. Stat. 49(3), 2021; what holds at every look is Ville's inequality.
"""

import math

from deploy.verdict.looks import Look
from deploy.verdict.mixture import sum_exp

# Bets x = ε/w of the gate and their prior weights: large bets end soon without errors, small ones survive some.
BETS = ((0.2, 0.1), (0.5, 0.2), (0.8, 0.3), (0.98, 0.4))
NO_BETS = (0.0,) * len(BETS)


def carry(exponents: tuple[float, ...], look: Look, margin: float) -> tuple[float, ...]:
    """Add one look to the bets' logarithms, by what each arm was given instead of by a share that a plan fixed.

    Given c requests to the canary and b to the champion, the factor of a bet x has the expectation
    (1 - x p_canary)^c (1 + x p_baseline c / b)^b e^{xcδ} <= e^{xc (δ - p_canary + p_baseline)}: at most 1 when the
    difference is δ or more, however the requests were split.

    Args:
        exponents: Of BETS, after the last look at this step.
        look: Counts with traffic in both arms.
        margin: δ, absolute (0 to 1).
    """
    canary, baseline = look.canary_requests, look.baseline_requests
    return tuple(
        exponent
        + look.canary_errors * math.log1p(-bet)
        + look.baseline_errors * math.log1p(bet * canary / baseline)
        + bet * canary * margin
        for (bet, _), exponent in zip(BETS, exponents, strict=True)
    )


def carried_evidence(exponents: tuple[float, ...]) -> float:
    """Return the e-value of what `carry` added up."""
    return sum_exp([math.log(weight) + exponent for (_, weight), exponent in zip(BETS, exponents, strict=True)])


def expected_requests(share: float, base_rate: float, margin: float, alpha: float) -> float:
    """Return about how many requests of both arms bring 1/α of evidence when the canary is as good as the champion.

    What the best bet must earn, by what it earns from a request on average (Wald, Ann. Math. Stat. 16(2), 1945);
    infinite when no bet earns.

    Args:
        share: Share of the requests that goes to the canary (0 to 1).
        base_rate: The champion's error rate (0 to 1).
        margin: δ, absolute (0 to 1).
        alpha: α.
    """
    needed = math.inf
    for bet, weight in BETS:
        lost = share * math.log1p(-bet) + (1 - share) * math.log1p(bet * share / (1 - share))
        gain = bet * share * margin + base_rate * lost
        if gain > 0:
            needed = min(needed, math.log(1 / (weight * alpha)) / gain)
    return needed
