"""Which changes of the mean loss the test looks for, and how much of its budget of false alarms each may spend."""

import math
from dataclasses import dataclass

import numpy as np

from flywheel.errors import UsageError
from flywheel.statistics import Floats

LEAST_EFFECT = 1 / 8  # of a standard deviation: at an error rate of .2 a step to .25
SIZES = LEAST_EFFECT * np.exp2(np.arange(-1, 4))  # from half the least effect to eight times


@dataclass(frozen=True)
class Plan:
    """What the test promises; fixed before the first loss.

    Attributes:
        per_false_alarm: At least so many losses lie, on average, between two false alarms.
        rises: Share of the budget for rises of the loss (0 to 1); falls have the rest: they are news, and no harm.
        bounds: The least and the greatest loss, where they are known (0 and 1 for errors). None: learned.
        whiten: Whether a loss may resemble the one before it, as days do; then innovations are judged.
        name: Of the mean loss, for sentences.
        unit: Of what one loss is, for sentences: labels, days.
        positive: Whether no mean can lie below 0, so that no interval may.
    """

    per_false_alarm: float = 7.5e6  # ADWIN's defaults were measured to give as many: 33 in 250 million
    rises: float = 0.9
    bounds: tuple[float, float] | None = None
    whiten: bool = False
    name: str = "mean loss"
    unit: str = "labels"
    positive: bool = False

    def __post_init__(self) -> None:
        """Refuse what no test can keep."""
        if not self.per_false_alarm >= 1 or math.isinf(self.per_false_alarm):
            raise UsageError(
                f"A false alarm in {self.per_false_alarm} {self.unit} is no budget. Give a number from 1 on."
            )
        if not 0 < self.rises < 1:
            raise UsageError(
                f"Rises of the loss cannot have the share {self.rises} of the budget. Give one between 0 and 1."
            )
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise UsageError(
                f"Losses cannot lie between {self.bounds[0]} and {self.bounds[1]}. Give the lower one first."
            )


def signed_sizes() -> Floats:
    """Return the changes looked for in standard deviations of one loss, (n_effects,): rises, then falls."""
    return np.concatenate([SIZES, -SIZES])


def log_shares(rises: float) -> Floats:
    """Return the logarithm of each effect's share of the budget, (n_effects,), in the order of `signed_sizes`.

    A change of size g is found after about 2 ln(1/share) / g² losses. Shares that fall with 1/g² make the sum of these
    delays over the sizes least, equal shares the sum of their logarithms; 1/g^1.5 lies between. Below the least effect
    they fall with g⁴: smaller changes would otherwise take the whole budget for delays that nobody waits for.

    Args:
        rises: The share of all rises together, 0 to 1.
    """
    ratio = SIZES / LEAST_EFFECT
    shares = np.minimum(ratio**4, ratio**-1.5)
    shares /= shares.sum()
    return np.asarray(np.log(np.concatenate([rises * shares, (1 - rises) * shares])))
