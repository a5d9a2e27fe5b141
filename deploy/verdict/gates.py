"""The gate of one step: an e-value against "the canary fails more often than the step's margin allows".

A margin is a ratio of error rates and a rise of the rate, and the canary is beyond it when it exceeds both. Evidence
against either is evidence against that, and so is the average of the two (Vovk & Wang, Ann. Stat. 49(3), 2021). The
ratio decides where errors are seen, the rise where there are none. Both hold at every look (Ville's inequality).
"""

import math
from dataclasses import dataclass

from deploy.verdict import promotion
from deploy.verdict.looks import Look
from deploy.verdict.mixture import sum_exp
from deploy.verdict.plan import tilt


@dataclass(frozen=True)
class Margin:
    """What a step tolerates.

    Args:
        ratio: Of the canary's error rate to the champion's, above 1.
        rise: Of the error rate, absolute (0 to 1).
    """

    ratio: float
    rise: float

    @property
    def within(self) -> tuple[tuple[float, float], ...]:
        """Ratios that are tolerated, each with its part of the bets: as good, better, and half of the way to worse."""
        return (1.0, 0.6), (0.5, 0.2), (math.sqrt(self.ratio), 0.2)


def margins(steps: tuple[int, ...], last: Margin) -> tuple[Margin, ...]:
    """Return each step's margin: that of the last step, and the more the fewer requests the canary gets.

    How well a rate is known goes by the root of the requests, so a step at a quarter of the last one's share tolerates
    twice of what is beyond "the same".
    """
    wider = [math.sqrt(steps[-1] / step) for step in steps]
    return tuple(Margin(1 + (last.ratio - 1) * more, min(last.rise * more, 0.5)) for more in wider)


@dataclass(frozen=True)
class Gate:
    """Counts of one step, and the logarithms of the bets on them.

    Args:
        counts: Of the step.
        ratios: Bets against "the ratio is the margin's or more".
        rises: Bets against "the rise is the margin's or more".
    """

    counts: Look = Look(0, 0, 0, 0)  # noqa: RUF009 - frozen
    ratios: tuple[float, ...] = (0.0, 0.0, 0.0)
    rises: tuple[float, ...] = promotion.NO_BETS

    def take(self, look: Look, margin: Margin) -> "Gate":
        """Add one look with traffic in both arms."""
        ratios = tuple(
            log + _log_ratio(look, margin.ratio, within)
            for log, (within, _) in zip(self.ratios, margin.within, strict=True)
        )
        return Gate(self.counts.plus(look), ratios, promotion.carry(self.rises, look, margin.rise))

    def evidence(self, margin: Margin) -> float:
        """Return the e-value; 1/α of it opens the gate."""
        parts = [math.log(part) for _, part in margin.within]
        ratios = sum_exp([log + part for log, part in zip(self.ratios, parts, strict=True)])
        return (ratios + promotion.carried_evidence(self.rises)) / 2


CLOSED = Gate()


def _log_ratio(look: Look, margin: float, within: float) -> float:
    """Logarithm of the likelihood ratio of two shares of the errors: what is tolerated against the margin's.

    The share w of c + b requests being the canary's, q = m w / (m w + 1 - w) is the margin's share of the errors and r
    the tolerated one (Lindon & Malek, NeurIPS 2022, arXiv 2011.03567, for the conditional model). It needs no
    condition: a canary error pays r/q, one of the champion (1-r)/(1-q), so over requests of the rates p_c ≥ m p_b its
    expectation is at most exp(c p_c (r/q - 1) + b p_b ((1-r)/(1-q) - 1)) ≤ exp(0), since 1 + x ≤ e^x and r < q.
    """
    worst, tolerated = tilt(look.share, margin), tilt(look.share, within)
    canary = look.canary_errors * math.log(tolerated / worst)
    return canary + look.baseline_errors * math.log((1 - tolerated) / (1 - worst))


def expected_counts(percent: int, margin: Margin, alpha: float) -> float:
    """Return about how many errors of both arms open a gate when the canary is as good as the champion.

    What the bet on "as good" must earn, by what an error brings it on average: the Kullback-Leibler divergence of the
    two shares (Wald, Ann. Math. Stat. 16(2), 1945). The rise is left out, so with few errors it is sooner.
    """
    share = percent / 100
    worst = tilt(share, margin.ratio)
    gain = share * math.log(share / worst) + (1 - share) * math.log((1 - share) / (1 - worst))
    return math.log(2 / (margin.within[0][1] * alpha)) / gain


def expected_requests(percent: int, margin: Margin, alpha: float, base_rate: float) -> float:
    """Return about how many requests of both arms open a gate when the canary is as good as the champion."""
    by_rise = promotion.expected_requests(percent / 100, base_rate, margin.rise, alpha / 2)
    return min(by_rise, expected_counts(percent, margin, alpha) / base_rate) if base_rate else by_rise
