"""Streams of losses whose mean changes or does not: errors that are independent, and errors that come in days."""

from dataclasses import dataclass

import numpy as np

from flywheel.statistics import Floats

STATIONARY = 100_000  # labels before a step


@dataclass(frozen=True)
class Step:
    """Errors (0 or 1) at one rate, then at another.

    Attributes:
        rate: The error rate after the step.
        base: Before it.
        before: Labels before it.
        ramp: Labels within which it goes from `base` to `rate` in a straight line; 0 for a step.
        horizon: Labels after it begins within which it must be found.
    """

    rate: float
    base: float = 0.2
    before: int = STATIONARY
    ramp: int = 0
    horizon: int = 20_000

    @property
    def name(self) -> str:
        """As the table calls it."""
        within = f" within {self.ramp:,}" if self.ramp else ""
        return f"{self.base:g} to {self.rate:g}{within}, after {self.before:,}"

    def draw(self, seed: int) -> tuple[Floats, Floats]:
        """Return the errors before (n_before,) and after (n_horizon,); the same seed has the same errors before."""
        before = errors(self.base, self.before, seed)
        share = np.minimum(np.arange(1, self.horizon + 1) / self.ramp, 1.0) if self.ramp else np.ones(self.horizon)
        generator = np.random.default_rng([seed, round(self.rate * 1000), self.ramp, 1])
        rates = self.base + (self.rate - self.base) * share
        return before, (generator.random(self.horizon) < rates).astype(np.float64)


def errors(rate: float, labels: int, seed: int) -> Floats:
    """Return independent errors at one rate, (n_labels,)."""
    return (np.random.default_rng([seed, round(rate * 1000), 0]).random(labels) < rate).astype(np.float64)


@dataclass(frozen=True)
class DayWorld:
    """Errors whose rate differs from day to day.

    Attributes:
        effect: Standard deviation between days of the logit of the error rate.
        memory: How much a day's effect resembles that of the day before (AR(1) coefficient).
        rows: A day.
        days: In all.
        step: Change of the logit from day `days` // 2 on.
        week: Half the range of a weekly season of the logit.
    """

    effect: float
    memory: float
    rows: int = 200
    days: int = 730
    step: float = 0.0
    week: float = 0.0

    @property
    def name(self) -> str:
        """As the table calls it."""
        season = f", week ±{self.week:g}" if self.week else ""
        return f"days ±{self.effect:g}, memory {self.memory:g}{season}"

    def draw(self, seed: int) -> Floats:
        """Return the errors, (n_days, n_rows)."""
        generator = np.random.default_rng([seed, 17])
        shocks = generator.normal(0.0, 1.0, self.days)
        effects = np.empty(self.days)
        effects[0] = shocks[0]
        for day in range(1, self.days):
            effects[day] = self.memory * effects[day - 1] + np.sqrt(1 - self.memory**2) * shocks[day]
        logit = np.log(0.2 / 0.8) + self.effect * effects + self.week * np.sin(2 * np.pi * np.arange(self.days) / 7)
        logit[self.days // 2 :] += self.step
        rates = 1 / (1 + np.exp(-logit))
        return np.asarray(generator.random((self.days, self.rows)) < rates[:, None], dtype=np.float64)
