"""The hedge: an e-process on the canary's share of all errors, averaged over ratios; it needs no plan."""

import math

from deploy.verdict.plan import tilt

# Ratios of error rates over which the hedge averages: Lindon & Malek, NeurIPS 2022 (arXiv 2011.03567).
RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0)
NO_RATIOS = (0.0,) * len(RATIOS)


def carry(log_ratios: tuple[float, ...], canary: int, baseline: int, share: float) -> tuple[float, ...]:
    """Add one look's errors to the log-likelihood ratios of RATIOS against "no worse", at the canary's share."""
    return tuple(
        log
        + canary * math.log(tilt(share, ratio) / share)
        + baseline * math.log((1 - tilt(share, ratio)) / (1 - share))
        for ratio, log in zip(RATIOS, log_ratios, strict=True)
    )


def evidence(log_ratios: tuple[float, ...]) -> float:
    """Return the e-value against "no worse": an average of e-values is one (Vovk & Wang, Ann. Stat. 49(3), 2021)."""
    return sum_exp(list(log_ratios)) / len(RATIOS)


def sum_exp(exponents: list[float]) -> float:
    """Sum of exponentials, capped where a double ends: beyond any threshold anyway."""
    return sum(math.exp(min(value, 600.0)) for value in exponents)
