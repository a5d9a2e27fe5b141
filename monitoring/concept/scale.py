"""How large a loss and a change of it are: centre, spread, range and memory, learned from the losses so far."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_toeplitz

from flywheel.statistics import Floats

PSEUDO = 0.5  # losses at each end of the range that are added to those seen: Jeffreys' prior for 0/1 losses
WIDEST = 8.0  # standard deviations: losses farther out count as if they were there
LONGEST = 7  # losses that may be remembered: a week of days
LARGEST_SUM = 0.97  # of the weights
PER_LAG = 8  # losses for each that is remembered, at least


@dataclass(frozen=True)
class Scale:
    """The units of innovations: a loss minus what the losses before it foretell.

    Attributes:
        centre: Mean of the innovations.
        spread: Their standard deviation, above 0.
        low: Least innovation; smaller ones are cut.
        high: Greatest one; larger ones are cut.
        memory: Weights of the losses before, the newest first; empty for labels.
        inflation: By how much memory widens the variance of a mean of losses.
    """

    centre: float
    spread: float
    low: float
    high: float
    memory: tuple[float, ...] = ()
    inflation: float = 1.0

    def units(self, losses: Floats, before: Floats) -> Floats:
        """Return innovations in standard deviations, (n_losses,).

        Args:
            losses: (n_losses,), in order of time.
            before: At least as many losses before the first of them as are remembered, in order of time.
        """
        innovations = _innovations(np.concatenate([before, losses]), self.memory)[-len(losses) :]
        return np.asarray((np.clip(innovations, self.low, self.high) - self.centre) / self.spread)

    @property
    def ends(self) -> tuple[float, float]:
        """Least and greatest innovation in standard deviations."""
        return (self.low - self.centre) / self.spread, (self.high - self.centre) / self.spread


def learn(losses: Floats, bounds: tuple[float, float] | None, *, whiten: bool) -> Scale:
    """Learn the scale from the losses so far.

    Args:
        losses: (n_losses,), more than `LONGEST`, in order of time.
        bounds: Least and greatest loss where they are known.
        whiten: Whether to take out what a loss shares with those before it.
    """
    memory = _memory(losses) if whiten else ()
    innovations = _innovations(losses, memory)
    low, high = _range(innovations) if bounds is None or whiten else bounds
    values = np.clip(innovations, low, high)
    weight = len(values) + 2 * PSEUDO
    centre = (values.sum() + PSEUDO * (low + high)) / weight
    squares = ((values - centre) ** 2).sum() + PSEUDO * ((low - centre) ** 2 + (high - centre) ** 2)
    variance = squares / weight
    # The spectrum at zero of an autoregression, σ²/(1 − Σφ)², over the variance of its values
    inflation = variance / (1 - sum(memory)) ** 2 / losses.var() if memory else 1.0
    return Scale(float(centre), float(np.sqrt(variance)), low, high, memory, float(inflation))


def _innovations(losses: Floats, memory: tuple[float, ...]) -> Floats:
    """Return what is new in each loss that has enough before it, (n_losses − len(memory),)."""
    if not memory:
        return losses
    return np.convolve(losses, np.concatenate([[1.0], -np.array(memory)]), mode="valid")


def _range(innovations: Floats) -> tuple[float, float]:
    """Return the range seen, cut at `WIDEST`; never empty, as all losses may be the same so far."""
    low, high, centre = float(innovations.min()), float(innovations.max()), float(innovations.mean())
    reach = WIDEST * float(innovations.std())
    low, high = max(low, centre - reach), min(high, centre + reach)
    if high > low:
        return low, high
    width = abs(centre) or 1.0
    return centre - width / 2, centre + width / 2


def _memory(losses: Floats) -> tuple[float, ...]:
    """Return the weights of an autoregression, as many as Akaike's criterion asks for.

    Yule-Walker's equations with covariances divided by n, which never give an explosive one (Brockwell and Davis,
    Time Series: Theory and Methods, 2nd edition, section 8.1).
    """
    longest = min(LONGEST, len(losses) // PER_LAG)
    covariances = _covariances(losses, longest)
    if covariances[0] <= 0:
        return ()
    chosen, least = (), len(losses) * np.log(covariances[0])
    for order in range(1, longest + 1):
        weights = solve_toeplitz(covariances[:order], covariances[1 : order + 1])
        left = covariances[0] - weights @ covariances[1 : order + 1]
        criterion = len(losses) * np.log(left) + 2 * order
        if criterion < least:
            chosen, least = tuple(weights.tolist()), criterion
    return _cautious(chosen, len(losses))


def _cautious(weights: tuple[float, ...], losses: int) -> tuple[float, ...]:
    """Raise the newest weight, so that the sum of the weights is rather too large than too small.

    A memory that is taken for too short makes every quiet week a proof; one that is taken for too long only costs time.
    So the bias of the sum, about −(1 + 3 sum)/n (Kendall, Biometrika 41, 1954, for one lag), is taken out, and one
    standard error, √((1 − sum²)/n), is added.
    """
    total = sum(weights)
    if not weights or total <= 0:
        return weights
    raised = total + (1 + 3 * total) / losses + math.sqrt(max(1 - total**2, 0.0) / losses)
    return (weights[0] + min(raised, max(total, LARGEST_SUM)) - total, *weights[1:])


def _covariances(losses: Floats, longest: int) -> Floats:
    """Return the autocovariances at lags 0 to `longest`, (longest + 1,)."""
    centred = losses - losses.mean()
    sums = [float(centred[lag:] @ centred[: len(losses) - lag]) for lag in range(longest + 1)]
    return np.array(sums) / len(losses)
