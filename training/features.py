"""The user's feature function, loaded from its file and held to its promise: each row from itself alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from flywheel.errors import DataError
from flywheel.modules import load_module

SAMPLE = 500
SINGLE_ROWS = 8


@dataclass(frozen=True)
class FeatureFunction:
    """The function `features(frame)` of one file. Calling it checks height and types of what it returns."""

    path: Path
    function: Callable[[pl.DataFrame], object]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the features of `frame`: n_rows by n_features, numbers, booleans and text.

        Raises:
            DataError: The function raises, or returns something else.
        """
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
        return result

    def _check_types(self, result: pl.DataFrame) -> None:
        if not result.columns:
            raise DataError(f"{self.path}: features(frame) returned no column. Return at least one.")
        for name, kind in result.schema.items():
            if not (kind.is_numeric() or kind in (pl.String, pl.Boolean)):
                raise DataError(
                    f"{self.path}: feature '{name}' is of type {kind}. Make it a number, a boolean or text."
                )


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
    """Check on a sample that neither order nor company of a row changes its features.

    Args:
        features: The function under test.
        frame: Raw inputs, n_rows by n_inputs.
        seed: Of the sample and the splits.

    Raises:
        DataError: Some split or order of the rows gives another result.
    """
    random = np.random.default_rng(seed)
    sample = frame.sample(min(SAMPLE, frame.height), seed=seed)
    whole = features(sample)
    order = random.permutation(sample.height)
    cut = int(random.integers(0, sample.height + 1))
    parts = [order, order[:cut], order[cut:], *(order[i : i + 1] for i in range(min(SINGLE_ROWS, sample.height)))]
    for part in parts:
        found, expected = features(sample[part]), whole[part]
        if not found.equals(expected):
            column = next(
                (
                    name
                    for name in expected.columns
                    if name not in found.columns or not found[name].equals(expected[name])
                ),
                "?",
            )
            raise DataError(
                f"{features.path}: feature '{column}' of a row depends on the rows beside it (a mean, rank or shift?)."
                " Make each row from itself alone; joins and aggregates belong into the source."
            )
