"""Sums over units, which is all that the statistics need of them: counts, means and centred squares, which add up."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What units leave behind; adding is in no order, up to rounding.

    Args:
        count: Units.
        mean: Mean of their values.
        squares: Σ (value - mean)².
        covariate_mean: Mean of their covariates.
        covariate_squares: Σ (covariate - mean)².
        products: Σ (value - mean) (covariate - mean).
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    covariate_mean: float = 0.0
    covariate_squares: float = 0.0
    products: float = 0.0

    @classmethod
    def of(cls, values: Floats, covariates: Floats | None = None) -> "Sums":
        """Sum units up; both of shape (n_units,), covariates as 0 where there are none."""
        if not len(values):
            return cls()
        others = np.zeros_like(values) if covariates is None else covariates
        mean, other = float(values.mean()), float(others.mean())
        left, right = values - mean, others - other
        return cls(len(values), mean, float(left @ left), other, float(right @ right), float(left @ right))

    def plus(self, more: "Sums") -> "Sums":
        """Add other units (Chan, Golub & LeVeque, The American Statistician 37, 1983, eq. 2.1)."""
        count = self.count + more.count
        if not self.count or not more.count:
            return self if more.count == 0 else more
        step, other = more.mean - self.mean, more.covariate_mean - self.covariate_mean
        part, weight = more.count / count, self.count * more.count / count
        return Sums(
            count,
            self.mean + step * part,
            self.squares + more.squares + step * step * weight,
            self.covariate_mean + other * part,
            self.covariate_squares + more.covariate_squares + other * other * weight,
            self.products + more.products + step * other * weight,
        )

    def adjusted(self, slope: float, centre: float) -> "Sums":
        """Return the sums of value - slope (covariate - centre), without a covariate."""
        squares = self.squares - 2 * slope * self.products + slope * slope * self.covariate_squares
        return Sums(self.count, self.mean - slope * (self.covariate_mean - centre), max(squares, 0.0))

    @property
    def variance(self) -> float:
        """Variance of one value; 0 with fewer than two."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


def together(parts: Iterable[Sums]) -> Sums:
    """Add sums up."""
    total = Sums()
    for part in parts:
        total = total.plus(part)
    return total
