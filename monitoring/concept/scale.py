"""How large a loss and a change of it are: centre, spread, range and memory, learned from the losses so far."""

from dataclasses import dataclass

import numpy as np

from flywheel.statistics import Floats

PSEUDO = 0.5  # losses at each end of the range that are added to those seen: Jeffreys' prior for 0/1 losses
WIDEST = 8.0  # standard deviations: losses farther out count as if they were there
LARGEST_MEMORY = 0.95


@dataclass(frozen=True)
class Scale:
    """The units of innovations: a loss minus `memory` times the loss before it.

    Attributes:
        centre: Their mean.
        spread: Their standard deviation, above 0.
        low: Least innovation; smaller ones are cut.
        high: Greatest one; larger ones are cut.
        memory: Lag-1 autocorrelation of the losses that is taken out; 0 for labels.
    """

    centre: float
    spread: float
    low: float
    high: float
    memory: float = 0.0

    def units(self, losses: Floats, before: float) -> Floats:
        """Return innovations in standard deviations, (n_losses,).

        Args:
            losses: (n_losses,), in order of time.
            before: The loss before the first of them.
        """
        innovations = losses
        if self.memory:
            innovations = losses - self.memory * np.concatenate([[before], losses[:-1]])
        return np.asarray((np.clip(innovations, self.low, self.high) - self.centre) / self.spread)

    @property
    def ends(self) -> tuple[float, float]:
        """Least and greatest innovation in standard deviations."""
        return (self.low - self.centre) / self.spread, (self.high - self.centre) / self.spread


def learn(losses: Floats, bounds: tuple[float, float] | None, *, whiten: bool) -> Scale:
    """Learn the scale from the losses so far.

    Args:
        losses: (n_losses,), at least two, in order of time.
        bounds: Least and greatest loss where they are known.
        whiten: Whether to take out what a loss shares with the one before it.
    """
    memory = _memory(losses) if whiten else 0.0
    innovations = losses[1:] - memory * losses[:-1] if whiten else losses
    low, high = _range(innovations) if bounds is None or whiten else bounds
    values = np.clip(innovations, low, high)
    weight = len(values) + 2 * PSEUDO
    centre = (values.sum() + PSEUDO * (low + high)) / weight
    squares = ((values - centre) ** 2).sum() + PSEUDO * ((low - centre) ** 2 + (high - centre) ** 2)
    return Scale(float(centre), float(np.sqrt(squares / weight)), low, high, memory)


def _range(innovations: Floats) -> tuple[float, float]:
    """Return the range seen, cut at `WIDEST`; never empty, as all losses may be the same so far."""
    low, high, centre = float(innovations.min()), float(innovations.max()), float(innovations.mean())
    reach = WIDEST * float(innovations.std())
    low, high = max(low, centre - reach), min(high, centre + reach)
    if high > low:
        return low, high
    width = abs(centre) or 1.0
    return centre - width / 2, centre + width / 2


def _memory(losses: Floats) -> float:
    """Return the lag-1 autocorrelation, its bias of −(1 + 3ρ)/n taken out, from 0 to `LARGEST_MEMORY`.

    Source: Kendall, Note on bias in the estimation of autocorrelation, Biometrika 41 (1954).
    """
    centred = losses - losses.mean()
    squares = float(centred @ centred)
    if squares == 0:
        return 0.0
    plain = float(centred[1:] @ centred[:-1]) / squares
    return float(np.clip(plain + (1 + 3 * plain) / len(losses), 0.0, LARGEST_MEMORY))
