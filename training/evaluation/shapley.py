"""Shapley values of any model: exact where features do not interact, sampled otherwise.

Both compare a row with background rows, whose values stand in for features left out (Lundberg and Lee 2017).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats
from training.data.dataset import Matrix

Function = Callable[[Matrix], Floats]
Order = npt.NDArray[np.int64]

BATCH = 8192  # rows of one call: forests are slow when asked for few
TOLERANCE = 1e-3  # of the outputs' spread; the matrix and XGBoost's sums have float32's digits


@dataclass(frozen=True)
class Shapley:
    """`values` (n_rows, n_features, n_outputs) add up with `base` (n_outputs,) to the model's output."""

    values: Floats
    base: Floats

    def explains(self, output: Floats) -> bool:
        """Say whether the values do add up to `output`, (n_rows, n_outputs)."""
        gap = np.abs(self.values.sum(axis=1) + self.base - output).max()
        return bool(gap <= TOLERANCE * max(1e-9, float(np.abs(output - self.base).max())))


def additive(function: Function, matrix: Matrix, background: Matrix) -> Shapley:
    """Return the exact values of a function that is a sum over features, such as a linear model on one-hot columns.

    The value of a feature is then its own term less that term's mean over the background (Štrumbelj and Kononenko
    2014, section 3.1), whatever becomes of it inside. For other functions the values do not add up.
    """
    base = function(background).mean(axis=0)
    rows, width = matrix.shape
    values = np.empty((rows, width, len(base)))
    for column in range(width):
        varied = np.repeat(background[:1], rows + len(background), axis=0)
        varied[:rows, column] = matrix[:, column]
        varied[rows:, column] = background[:, column]
        terms = function(varied)
        values[:, column] = terms[:rows] - terms[rows:].mean(axis=0)
    return Shapley(values, base)


def sampled(function: Function, matrix: Matrix, background: Matrix, seed: int) -> Shapley:
    """Estimate the values by walks from each background row to each row, one feature after the other.

    Each pair of rows is walked in one random order and in its reverse (Mitchell et al. 2022, Sampling Permutations for
    Shapley Value Estimation); every walk's steps add up exactly. Asks for 2 · n_rows · n_background · n_features rows.
    """
    random = np.random.default_rng(seed)
    rows, width = matrix.shape
    start, end = function(background), function(matrix)
    forth = [random.permutation(width) for _ in background]
    walks = [Walk(index, order) for index in range(len(background)) for order in (forth[index], forth[index][::-1])]
    together = max(1, BATCH // max(1, rows * (width - 1)))
    values = np.zeros((rows, width, start.shape[1]))
    for first in range(0, len(walks), together):
        group = walks[first : first + together]
        between = function(np.concatenate([_steps(matrix, background[walk.origin], walk.order) for walk in group]))
        for walk, path in zip(group, np.split(between, len(group)), strict=True):
            inner = path.reshape(width - 1, rows, -1)
            whole = np.concatenate([np.broadcast_to(start[walk.origin], (1, *end.shape)), inner, end[None]])
            values[:, walk.order] += np.diff(whole, axis=0).transpose(1, 0, 2)
    return Shapley(values / len(walks), start.mean(axis=0))


@dataclass(frozen=True)
class Walk:
    """From which background row, and in which order the features are replaced."""

    origin: int
    order: Order


def _steps(matrix: Matrix, origin: Matrix, order: Order) -> Matrix:
    """Return the rows between origin and matrix, ((n_features − 1) · n_rows, n_features)."""
    rows, width = matrix.shape
    steps = np.repeat(np.repeat(origin[None, None], width - 1, axis=0), rows, axis=1)
    for step in range(width - 1):
        taken = order[: step + 1]
        steps[step][:, taken] = matrix[:, taken]
    return steps.reshape(-1, width)
