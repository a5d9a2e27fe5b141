"""What a look makes of one version's newest outcomes: its next shift, and the sentence that explains it. Pure.

Outcomes are used once they are due by the label's delay and not before: those that come first are not like the others.
Answers are taken as the model gave them, before any shift, so that no shift follows itself.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from flywheel.durations import duration_text
from flywheel.fields import read_fields
from flywheel.usecase import UseCase
from monitoring.retraining.recalibration import Ages, Recalibration, shift
from monitoring.windows.raw import raw

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Learned:
    """What a look says of one version's level.

    Attributes:
        version: Whose.
        shift: Of its log-odds from now on.
        before: What it was until now; 0 at first.
        most: The greatest that its package allows, either way.
        rows: Outcomes that were known.
        as_of: Naive UTC.
        why: The sentence.
        is_renewed: Whether there was enough to learn from; else what was before fades.
    """

    version: str
    shift: float
    before: float
    most: float
    rows: int
    as_of: datetime
    why: str
    is_renewed: bool

    @property
    def is_bounded(self) -> bool:
        """Whether outcomes speak for more than is allowed."""
        return abs(self.shift) >= self.most

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON, for an event."""
        return {**vars(self), "as_of": self.as_of.isoformat()}


def learn(version: str, rows: pl.DataFrame, trained: UseCase, before: float, as_of: datetime) -> Learned:
    """Learn the shift of one version, whose package allows one.

    Args:
        version: Its name in sentences.
        rows: Its answered predictions, n_rows with `event_time`, `outputs`, `shift` and `outcome` (null: not known).
        trained: The use case as it stands in its package.
        before: The shift until now.
        as_of: Nothing known later is in `rows` (naive UTC).
    """
    spec = trained.monitor.recalibrate
    assert spec is not None  # noqa: S101  # callers ask only for versions that allow one
    how, due = Recalibration.of(spec), as_of - trained.data.label.available_after
    span = pl.col("event_time").is_between(as_of - how.reach, due)
    known = rows.filter(span & pl.col("outcome").is_not_null()).sort("event_time")
    least, newest = trained.monitor.min_outcomes, known["event_time"].max() or due - how.reach
    assert isinstance(newest, datetime)  # noqa: S101  # the column holds nothing else
    missing = ""
    if known.height < least:
        missing = f"{known.height:,} outcomes of the last {duration_text(how.reach)} are known, and it takes {least:,}."
    elif newest < due - spec.lasts:
        missing = f"No outcome is known of anything after {newest:%Y-%m-%d}."
    if missing:
        return Learned(version, before, before, spec.most, known.height, as_of, missing, is_renewed=False)
    by, why = _learned(known, how, newest, as_of)
    return Learned(version, by, before, spec.most, known.height, as_of, why, is_renewed=True)


def _learned(known: pl.DataFrame, how: Recalibration, newest: datetime, as_of: datetime) -> tuple[float, str]:
    """Return the shift that known outcomes speak for, and the sentence that says so."""
    probability = raw(read_fields(known, "outputs", {"probability": "double"})["probability"], known).to_numpy()
    label = (known["outcome"] > 0.5).cast(pl.Float64).to_numpy()
    by = shift(label, probability, _ages(known, as_of), how, task="binary")
    why = (
        f"{known.height:,} outcomes up to {newest:%Y-%m-%d} have {label.mean():.3f} ones where "
        f"{probability.mean():.3f} were foretold; the newest count most, and {how.prior_days:g} days without any "
        "deviation are counted along."
    )
    return by, why


def _ages(rows: pl.DataFrame, as_of: datetime) -> Ages:
    """Return whole UTC days between each row's day and that of `as_of`, (n_rows,)."""
    day = rows["event_time"].dt.epoch("d").cast(pl.Int64).to_numpy()
    return np.asarray((as_of.date() - EPOCH).days - day, dtype=np.int64)
