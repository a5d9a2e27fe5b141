"""The split in time: train on what was known at the cut, validate on what came after it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import UseCase

MIN_TRAIN = 100
MIN_VALIDATION = 50


@dataclass(frozen=True)
class Split:
    """Labelled rows on both sides of `cut` (naive UTC). Every label of `train` was known at the cut."""

    train: pl.DataFrame
    validation: pl.DataFrame
    cut: datetime

    @property
    def everything(self) -> pl.DataFrame:
        """Train, then validation; the rows of the gap stay out."""
        return pl.concat([self.train, self.validation])


def split_by_time(rows: pl.DataFrame, usecase: UseCase, as_of: datetime) -> Split:
    """Split labelled rows: validation is the last `train.validation` of time, train what was known before it.

    Between both lies a gap as long as labels need to become known: at the cut nobody had those labels.

    Args:
        rows: As `training.sources.rows.load_rows` returns them, n_rows by n_columns.
        usecase: Names event time and label, and says how long validation, window and the label's delay are.
        as_of: Naive UTC; `train.window` counts back from it.

    Raises:
        DataError: A side is too small or has one class only.
    """
    time, label = usecase.data.event_time, usecase.data.label.column
    labelled = rows.filter(pl.col(label).is_not_null())
    if usecase.train.window is not None:
        labelled = labelled.filter(pl.col(time) >= as_of - usecase.train.window)
    last = labelled[time].max()
    if not isinstance(last, datetime):
        raise DataError(
            f"No row has a known label '{label}' as of {as_of.isoformat()}. Choose a later as_of or a longer window."
        )
    cut = last + timedelta(microseconds=1) - usecase.train.validation
    split = Split(
        train=labelled.filter(pl.col(time) + usecase.data.label.available_after <= cut),
        validation=labelled.filter(pl.col(time) >= cut),
        cut=cut,
    )
    _check(split.train, label, "training", MIN_TRAIN)
    _check(split.validation, label, "validation", MIN_VALIDATION)
    return split


def _check(rows: pl.DataFrame, label: str, side: str, least: int) -> None:
    if rows.height < least:
        raise DataError(
            f"The {side} side of the split has {rows.height} labelled rows; {least} are needed."
            " Give more history, another train.validation or a later as_of."
        )
    if rows[label].n_unique() < 2:
        raise DataError(
            f"The {side} side of the split has only '{label}' = {rows[label][0]}: nothing to tell apart."
            " Give more history, another train.validation or a later as_of."
        )
