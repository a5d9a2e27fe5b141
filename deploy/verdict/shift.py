"""Shift of the prediction's distribution: the canary's part of each bin of the champion's predictions.

A new model is supposed to differ, so this only ever warns, or holds where the plan says so; it never rolls back. Bins
are the champion's deciles, fixed before the start.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.verdict.distributions import log_beta
from deploy.verdict.mixture import sum_exp

# How far a bin's part is expected to move, relative to the canary's share: it sets the width of the prior.
SPREAD = 0.3


@dataclass(frozen=True)
class Shift:
    """Predictions by bin at this step, and what the steps before left.

    Args:
        canary: The canary's predictions, by bin.
        baseline: The champion's.
        before: Log e-value of each bin at the steps before.
    """

    canary: tuple[int, ...]
    baseline: tuple[int, ...]
    before: tuple[float, ...]

    def take(self, canary: Sequence[int], baseline: Sequence[int]) -> "Shift":
        """Add one look's predictions, by bin.

        Raises:
            ValueError: Another number of bins than the plan's, or less than nothing in one.
        """
        if len(canary) != len(self.canary) or len(baseline) != len(self.canary) or min(*canary, *baseline) < 0:
            raise ValueError(f"A look counts predictions in each of the plan's {len(self.canary)} bins, 0 or more.")
        return Shift(_added(self.canary, canary), _added(self.baseline, baseline), self.before)

    def evidence(self, share: float) -> float:
        """Return the e-value against "no shift" at the canary's share (0 to 1); 1/α of it is worth a warning.

        An average over bins: e-values of bins depend on each other, and averages need no independence (Vovk & Wang,
        Ann. Stat. 49(3), 2021).
        """
        return sum_exp(list(self._logs(share))) / len(self.canary)

    def next_step(self, share: float) -> "Shift":
        """Start the next step, after one at this share."""
        nothing = (0,) * len(self.canary)
        return Shift(nothing, nothing, tuple(self._logs(share)))

    def _logs(self, share: float) -> Iterable[float]:
        return (
            before + _log_evidence(canary, baseline, share)
            for before, canary, baseline in zip(self.before, self.canary, self.baseline, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"canary": list(self.canary), "baseline": list(self.baseline), "before": list(self.before)}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Shift":
        """Read what `to_json` wrote."""
        return cls(tuple(body["canary"]), tuple(body["baseline"]), tuple(body["before"]))


def fresh(bins: int) -> Shift:
    """Return the state before the first look."""
    return Shift((0,) * bins, (0,) * bins, (0.0,) * bins)


def deciles(champion: Sequence[float]) -> tuple[float, ...]:
    """Return the nine edges of ten bins of the champion's predictions; equal ones are one edge."""
    ordered = sorted(champion)
    return tuple(sorted({ordered[part * len(ordered) // 10] for part in range(1, 10)}))


def binned(edges: Sequence[float], predictions: Iterable[float]) -> tuple[int, ...]:
    """Count predictions by bin; an edge belongs to the bin above it."""
    counts = [0] * (len(edges) + 1)
    for prediction in predictions:
        counts[bisect_right(edges, prediction)] += 1
    return tuple(counts)


def _added(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(old, new, strict=True)))


def _log_evidence(canary: int, baseline: int, share: float) -> float:
    """Log of the Beta mixture's likelihood over that of the share: a martingale while the share is the same.

    Lindon & Malek, NeurIPS 2022 (arXiv 2011.03567), for two categories; the prior's mean is the share.
    """
    weight = (1 - share) / (SPREAD**2 * share)
    a, b = weight * share, weight * (1 - share)
    mixture = log_beta(a + canary, b + baseline) - log_beta(a, b)
    return mixture - canary * math.log(share) - baseline * math.log1p(-share)
