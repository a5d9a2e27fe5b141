"""The user's feature function, loaded from its file and held to its promise: each row from itself alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from flywheel.errors import DataError
from flywheel.modules import load_module

SAMPLE = 500
SINGLE_ROWS = 8
EXAMPLES = 3
LARGEST = float(np.finfo(np.float32).max)  # models take single precision, in which anything larger is infinite


@dataclass(frozen=True)
class FeatureFunction:
    """The function `features(frame)` of one file. Calling it checks height, types and finiteness of what it returns."""

    path: Path
    function: Callable[[pl.DataFrame], object]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the features of `frame`: n_rows by n_features, numbers, booleans and text.

        A number may be missing (null or NaN) and may not be infinite.

        Raises:
            DataError: The function raises, or returns something else.
        """
        if frame.height == 1:
            return self(doubled(frame)).head(1)
        try:
            result = self.function(frame)
        except Exception as fault:  # the user's own code: whatever it raises is a fault of that file
            reason = (str(fault).strip() or "no message").splitlines()[0].rstrip(".")
            raise DataError(
                f"{self.path}: features(frame) raised {type(fault).__name__}: {reason}. Correct it."
            ) from fault
        if not isinstance(result, pl.DataFrame):
            raise DataError(
                f"{self.path}: features(frame) returned {type(result).__name__}. Return a Polars DataFrame."
            )
        if result.height != frame.height:
            raise DataError(
                f"{self.path}: features(frame) made {result.height} rows of {frame.height}. Keep every row."
            )
        self._check_types(result)
        self._check_finite(result)
        return result

    def _check_types(self, result: pl.DataFrame) -> None:
        if not result.columns:
            raise DataError(f"{self.path}: features(frame) returned no column. Return at least one.")
        for name, kind in result.schema.items():
            if not (kind.is_numeric() or kind in (pl.String, pl.Boolean)):
                raise DataError(
                    f"{self.path}: feature '{name}' is of type {kind}. Make it a number, a boolean or text."
                )

    def _check_finite(self, result: pl.DataFrame) -> None:
        floats = [name for name, kind in result.schema.items() if kind.is_float()]
        for column in result.select(floats):
            # The extremes alone tell in one pass without a copy; NaN is no extreme.
            extremes = [value for value in (column.min(), column.max()) if isinstance(value, float)]
            if all(abs(value) <= LARGEST or math.isnan(value) for value in extremes):
                continue
            rows = (column.abs() > LARGEST).fill_null(value=False) & column.is_not_nan().fill_null(value=False)
            shown = ", ".join(f"row {row}: {column[row]}" for row in rows.arg_true().head(EXAMPLES))
            raise DataError(
                f"{self.path}: feature '{column.name}' is infinite, or too large for single precision, in"
                f" {rows.sum():,} of {result.height:,} rows ({shown}). Guard the division or logarithm, or return null."
            )


def doubled(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a lone row twice, because Polars computes it otherwise: the last bit of `column / 3` differs.

    It multiplies a column by 1/3, but divides a lone value, and it knows two equal rows made by `concat` of frames for
    one value. Joined as series they are a column like any other.
    """
    return pl.DataFrame([pl.concat([column, column]) for column in frame.get_columns()])


def load_features(path: Path) -> FeatureFunction:
    """Load the feature function of a use case.

    Raises:
        DataError: The file is missing, fails while imported, or has no `features`.
    """
    function = getattr(load_module(path, "feature file"), "features", None)
    if not callable(function):
        raise DataError(f"The feature file {path} has no function features(frame). Add one.")
    return FeatureFunction(path, function)


def check_rows_alone(features: FeatureFunction, frame: pl.DataFrame, seed: int) -> None:
    """Check on a sample that neither order nor company of a row changes its features, nor the time of the call.

    Args:
        features: The function under test.
        frame: Raw inputs, n_rows by n_inputs.
        seed: Of the sample and the splits.

    Raises:
        DataError: Some split or order of the rows gives another result, or the same rows do the second time.
    """
    random = np.random.default_rng(seed)
    sample = frame.sample(min(SAMPLE, frame.height), seed=seed)
    whole = features(sample)
    again = features(sample)
    if not again.equals(whole):
        raise DataError(
            f"{features.path}: feature '{_first_difference(again, whole)}' of the same rows differs from"
            " one call to the next (a random number, the time of day?). Make it from the row alone."
        )
    order = random.permutation(sample.height)
    cut = int(random.integers(0, sample.height + 1))
    parts = [order, order[:cut], order[cut:], *(order[i : i + 1] for i in range(min(SINGLE_ROWS, sample.height)))]
    for part in parts:
        found, expected = features(sample[part]), whole[part]
        if not found.equals(expected):
            raise DataError(
                f"{features.path}: feature '{_first_difference(found, expected)}' of a row depends on the rows beside"
                " it (a mean, rank or shift?). Make each row from itself alone; joins and aggregates belong into the"
                " source."
            )


def _first_difference(found: pl.DataFrame, expected: pl.DataFrame) -> str:
    differing = (
        name for name in expected.columns if name not in found.columns or not found[name].equals(expected[name])
    )
    return next(differing, "?")
