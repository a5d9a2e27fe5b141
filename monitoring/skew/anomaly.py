"""How unusual one row's inputs are, by what a package knows of its training rows; a pure function of profile and row.

Each number becomes its place among the training rows as a normal score; the places that training profiled together are
judged by Mahalanobis' distance, so that an unusual pair of usual values counts too. A category, a missing or an unseen
value adds −2 ln of its share, as a squared normal score is −2 ln of a density. The threshold is what all but one in a
thousand rows of the reference sample keep below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from scipy.special import ndtri

from flywheel.profile import DataColumn, DataProfile
from flywheel.statistics import Floats

USUAL = 0.999  # share of the reference rows below the threshold
FARTHEST = 2.6  # the normal score of the least and the greatest training value, as profiles cut it
STIFFNESS = 0.1  # of the identity in the correlations: columns that are nearly copies would make any rounding unusual


@dataclass(frozen=True)
class Anomalies:
    """The scores of rows.

    Attributes:
        scores: (n_rows,), from 0 up.
        threshold: Rows above it are unusual.
        columns: What each column adds, (n_rows, n_columns), in the order of `names`.
        names: Of the columns.
    """

    scores: Floats
    threshold: float
    columns: Floats
    names: tuple[str, ...]

    def unusual(self) -> list[int]:
        """Return the places of unusual rows, the most unusual first."""
        places = np.flatnonzero(self.scores > self.threshold)
        return [int(place) for place in places[np.argsort(-self.scores[places], kind="stable")]]

    def why(self, row: int, most: int = 3) -> list[str]:
        """Name the columns that add most to a row's score, the first most."""
        order = np.argsort(-self.columns[row], kind="stable")[:most]
        return [self.names[place] for place in order if self.columns[row, place] > 0]


@dataclass(frozen=True)
class RowScorer:
    """Scores rows by a version's profile; made once a version."""

    profile: DataProfile
    precision: Floats
    threshold: float

    @classmethod
    def make(cls, profile: DataProfile, sample: pl.DataFrame) -> Self:
        """Learn the threshold from the reference sample.

        Args:
            profile: Of all training rows.
            sample: Reference rows with the profile's columns.
        """
        size = len(profile.together)
        together = np.array(profile.together, dtype=np.float64).reshape(size, size)
        precision = np.asarray(np.linalg.inv((1 - STIFFNESS) * together + STIFFNESS * np.eye(size)), dtype=np.float64)
        scores = cls(profile, precision, np.inf).score(sample).scores
        return cls(profile, precision, float(np.quantile(scores, USUAL)) if len(scores) else np.inf)

    def score(self, rows: pl.DataFrame) -> Anomalies:
        """Score raw inputs, (n_rows, n_columns); a column that is not there is missing in every row."""
        names = tuple(column.name for column in self.profile.columns)
        places = {one.name: _places(one, rows) for one in self.profile.columns if _is_number(one)}
        added = np.zeros((rows.height, len(names)))
        for number, column in enumerate(self.profile.columns):
            added[:, number] = _surprise(column, rows, self.profile.rows)
            if column.name in places and column.name not in self._paired:
                added[:, number] += places[column.name] ** 2
        self._add_paired(added, names, places)
        scores = added.sum(axis=1)
        return Anomalies(scores, self.threshold, np.maximum(added, 0.0), names)

    def _add_paired(self, added: Floats, names: tuple[str, ...], places: Mapping[str, Floats]) -> None:
        """Add z' R⁻¹ z, each column with its own part zᵢ (R⁻¹ z)ᵢ."""
        if self._paired:
            z = np.column_stack([places[name] for name in self._paired])
            added[:, [names.index(name) for name in self._paired]] += z * (z @ self.precision)

    @property
    def _paired(self) -> tuple[str, ...]:
        return self.profile.paired if self.profile.together else ()


def _is_number(column: DataColumn) -> bool:
    return column.location is not None


def _places(column: DataColumn, rows: pl.DataFrame) -> Floats:
    """Return normal scores of a column's values, (n_rows,); 0 where missing, and beyond ±2.6 outside what was seen."""
    if column.name not in rows.columns or not column.quantiles:
        return np.zeros(rows.height)
    values = rows[column.name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    points = np.array(column.quantiles)
    # A value that many rows share has their middle rank.
    ranks = (np.searchsorted(points, values, "left") + np.searchsorted(points, values, "right")) / 2 / len(points)
    z = np.clip(ndtri(ranks), -FARTHEST, FARTHEST)
    reach = max(float(points[-1] - points[0]), np.finfo(np.float64).tiny)
    beyond = np.maximum(values - points[-1], 0) + np.maximum(points[0] - values, 0)
    return np.where(np.isnan(values), 0.0, z + np.sign(z) * FARTHEST * np.log2(1 + beyond / reach))


def _surprise(column: DataColumn, rows: pl.DataFrame, trained: int) -> Floats:
    """Return −2 ln of the share of a row's category, or of being missing, against the commonest, (n_rows,)."""
    least = 0.5 / (trained + 1)
    if column.name not in rows.columns:
        return np.full(rows.height, -2 * np.log(max(column.missing_share, least)))
    values = rows[column.name]
    absent = values.is_null() | (
        values.is_nan() if values.dtype.is_float() else pl.repeat(False, len(values), eager=True)
    )
    missing = -2 * np.log(max(column.missing_share, least)) if column.missing_share < 0.5 else 0.0
    if not column.categories:
        return np.where(absent.to_numpy(), missing, 0.0)
    known = {name: share for name, share in column.categories.items() if share > 0}
    rest = max(1.0 - sum(known.values()) - column.missing_share, least)
    top = max(*known.values(), rest) if known else rest
    # All rare values share what is left; one of them alone is rarer still, which is not known.
    costs = {name: -2 * np.log(share / top) for name, share in known.items()}
    texts = values.cast(pl.String)
    seen = texts.replace_strict(costs, default=-2 * np.log(min(rest, min(known.values(), default=rest)) / top))
    return np.where(absent.to_numpy(), missing, seen.cast(pl.Float64).fill_null(0.0).to_numpy())
