"""What a look makes of one version's newest outcomes: its next shift, and the sentence that explains it. Pure.

Outcomes are used once they are due by the label's delay and not before: those that come first are not like the others.
Answers are taken as the model gave them, before any shift, so that no shift follows itself.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

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
    when = pl.col("event_time")
    known = rows.filter(pl.col("outcome").is_not_null() & (when >= as_of - how.reach) & (when <= due)).sort(
        "event_time"
    )
    count, least = known.height, trained.monitor.min_outcomes
    newest = known["event_time"].max() or due - how.reach
    assert isinstance(newest, datetime)  # noqa: S101  # the column holds nothing else
    if count < least:
        why = f"{count:,} outcomes of the last {how.reach.days} days are known, and it takes {least:,}."
    elif newest < due - spec.lasts:
        why = f"No outcome is known of anything after {newest:%Y-%m-%d}."
    else:
        probability = raw(read_fields(known, "outputs", {"probability": "double"})["probability"], known)
        label = (known["outcome"] > 0.5).cast(pl.Float64).to_numpy()
        answers = probability.to_numpy()
        by = shift(label, answers, _ages(known, as_of), how, task="binary")
        why = (
            f"{count:,} outcomes up to {newest:%Y-%m-%d} have {label.mean():.3f} ones where {answers.mean():.3f} were "
            f"foretold; the newest count most, and {how.prior_days:g} days without any deviation are counted along."
        )
        return Learned(version, by, before, spec.most, count, as_of, why, is_renewed=True)
    return Learned(version, before, before, spec.most, count, as_of, why, is_renewed=False)


def _ages(rows: pl.DataFrame, as_of: datetime) -> Ages:
    """Return whole UTC days between each row's day and that of `as_of`, (n_rows,)."""
    day = rows["event_time"].dt.epoch("d").cast(pl.Int64).to_numpy()
    return np.asarray((as_of.date() - EPOCH).days - day, dtype=np.int64)
