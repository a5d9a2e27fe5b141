"""Shapley values of any model: exact where features do not interact, sampled otherwise.

Both compare a row with background rows, whose values stand in for features left out (Lundberg and Lee 2017).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flywheel.statistics import Floats
from training.dataset import Matrix

Function = Callable[[Matrix], Floats]

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
    Shapley Value Estimation); every walk's steps add up exactly. Takes 2 · n_rows · n_background · n_features calls.
    """
    random = np.random.default_rng(seed)
    rows, width = matrix.shape
    start = function(background)
    end = function(matrix)
    values = np.zeros((rows, width, start.shape[1]))
    for index, origin in enumerate(background):
        forth = random.permutation(width)
        for order in (forth, forth[::-1]):
            values += _walk(function, matrix, origin, order, start[index], end)
    return Shapley(values / (2 * len(background)), start.mean(axis=0))


def _walk(function: Function, matrix: Matrix, origin: Matrix, order: Floats, start: Floats, end: Floats) -> Floats:
    """Replace the origin's features by the rows', in this order; all rows and all steps in one call."""
    rows, width = matrix.shape
    steps = np.repeat(np.repeat(origin[None, None], width - 1, axis=0), rows, axis=1)  # (steps, rows, features)
    for step in range(width - 1):
        taken = order[: step + 1].astype(np.int64)
        steps[step][:, taken] = matrix[:, taken]
    between = function(steps.reshape(-1, width)).reshape(width - 1, rows, -1)
    path = np.concatenate([np.broadcast_to(start, (1, *end.shape)), between, end[None]])
    values = np.empty((rows, width, end.shape[1]))
    values[:, order.astype(np.int64)] = np.diff(path, axis=0).transpose(1, 0, 2)
    return values
