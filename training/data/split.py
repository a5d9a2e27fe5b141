"""The split in time: train, gap, validation, gap, test; and rolling origins within what lies before the test.

    train ─ gap ─ validation ─ gap ─ test      a gap is as long as labels need to become known

At each cut nobody had the labels of the gap before it, so no earlier part may use them. Earlier folds move the first
cut back: each one's validation ends where the next one's begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Task, UseCase
from training.data.dataset import Fold, Rows

LEAST = {"training": 100, "validation": 50, "test": 50}
LEAST_DAYS = 2  # rows of one day resemble each other: a single day says nothing about the next
TICK = timedelta(microseconds=1)
ADVICE = "Give more history, other train.validation, train.test or train.folds, or a later as_of."


@dataclass(frozen=True)
class Split:
    """Labelled rows in order of time, and which of them each part holds.

    `folds` run from the earliest origin to the last, which is the split's own train and validation. `cut` is where that
    validation begins and `test_cut` where the test does, naive UTC: every label of an earlier part was known by then.
    `purged` counts rows left out of a part because their group occurs in a later one.
    """

    rows: pl.DataFrame
    time: str
    label: str
    folds: tuple[Fold, ...]
    test: Rows
    cut: datetime
    test_cut: datetime
    purged: dict[str, int] = field(default_factory=dict)

    @property
    def train(self) -> Rows:
        """The rows of the last fold that are fitted."""
        return self.folds[-1].train

    @property
    def validation(self) -> Rows:
        """The rows of the last fold that fits are scored on."""
        return self.folds[-1].validation

    def frame(self, part: Rows) -> pl.DataFrame:
        """Return the rows of a part: a slice without copying, unless groups were purged from it."""
        if part.chosen is None:
            return self.rows.slice(part.start, len(part))
        return self.rows[part.chosen]


def split(rows: pl.DataFrame, usecase: UseCase, as_of: datetime) -> Split:
    """Split labelled rows by time.

    Args:
        rows: Typed rows of the source, n_rows by n_columns; rows without a label are left out.
        usecase: Names event time, label and group, and says how long each part is.
        as_of: Naive UTC; `train.window` counts back from it, and labels known later are not used.

    Raises:
        DataError: A part is too small to say anything; the message says why.
    """
    data, train = usecase.data, usecase.train
    delay = data.label.available_after
    known = _known_rows(rows, usecase, as_of)
    times = known[data.event_time]
    end = times.item(-1) + TICK
    test_cut = end - (train.test or train.validation)
    test = Rows(_first(times, test_cut), known.height)
    folds, cuts, stop = [], [], _known_before(test_cut, delay)
    for _ in range(train.folds):
        cut = stop - train.validation
        validation = Rows(_first(times, cut), _first(times, stop))
        folds.append(Fold(Rows(0, _first(times, _known_before(cut, delay))), validation))
        cuts.append(cut)
        stop = cut
    made = Split(known, data.event_time, data.label.column, tuple(reversed(folds)), test, cuts[0], test_cut)
    if data.group is not None:
        made = _purge(made, known[data.group])
    check_parts(made, usecase.task)
    return made


def _known_rows(rows: pl.DataFrame, usecase: UseCase, as_of: datetime) -> pl.DataFrame:
    """Return the rows whose label was known at `as_of`, within the window, in order of time; if it can, as a slice."""
    time, label = usecase.data.event_time, usecase.data.label
    if rows[label.column].null_count():
        rows = rows.filter(pl.col(label.column).is_not_null())
    if not rows[time].is_sorted():
        rows = rows.sort(time, maintain_order=True)
    window = usecase.train.window
    first = 0 if window is None else _first(rows[time], as_of - window)
    rows = rows.slice(first, max(0, _first(rows[time], as_of - label.available_after + TICK) - first))
    if rows.is_empty():
        raise DataError(
            f"No row has a known label '{label.column}' as of {as_of.isoformat()}."
            " Choose a later as_of or a longer window."
        )
    return rows


def _known_before(cut: datetime, delay: timedelta) -> datetime:
    """Return the time before which a row must lie so that it precedes the cut and its label was known at it."""
    return min(cut, cut - delay + TICK)


def _first(times: pl.Series, moment: datetime) -> int:
    """Return the place of the first row at or after a moment; `times` are rising."""
    return int(times.search_sorted(moment, side="left"))


def _purge(made: Split, groups: pl.Series) -> Split:
    """Leave out of each earlier part the rows whose group occurs in the parts that it is held against."""
    purged: dict[str, int] = {}
    folds = []
    for number, fold in enumerate(made.folds):
        name = "" if number == len(made.folds) - 1 else f" of fold {number + 1}"
        later = [fold.validation] if name else [fold.validation, made.test]
        train = _without(fold.train, groups, later)
        validation = fold.validation if name else _without(fold.validation, groups, [made.test])
        for part, before, after in (("train", fold.train, train), ("validation", fold.validation, validation)):
            if len(before) > len(after):
                purged[part + name] = len(before) - len(after)
        folds.append(Fold(train, validation))
    return Split(
        made.rows, made.time, made.label, tuple(folds), made.test, made.cut, made.test_cut, dict(sorted(purged.items()))
    )


def _without(part: Rows, groups: pl.Series, later: Sequence[Rows]) -> Rows:
    seen = pl.concat([groups.slice(rows.start, len(rows)) for rows in later]).drop_nulls().unique()
    own = groups.slice(part.start, len(part))
    kept = ~own.is_in(seen.implode()).fill_null(value=False)
    if kept.all():
        return part
    return Rows(part.start, part.stop, part.start + kept.arg_true().cast(pl.Int64).to_numpy())


def check_parts(made: Split, task: Task) -> None:
    """Refuse a split of which a part is too small to say anything.

    Raises:
        DataError: Names the part and the reason.
    """
    named = []
    for number, fold in enumerate(made.folds):
        where = _where(made, number)
        named += [("training", fold.train, where), ("validation", fold.validation, where)]
    for kind, part, where in [*named, ("test", made.test, "the split")]:
        name = f"{kind} part of {where}"
        _check_size(made, name, part, kind)
        _check_label(made, name, part, task)
    if task == "multiclass":
        _check_classes(made)


def _where(made: Split, number: int) -> str:
    return "the split" if len(made.folds) == 1 else f"fold {number + 1} of {len(made.folds)}"


def _check_size(made: Split, name: str, part: Rows, kind: str) -> None:
    if len(part) < LEAST[kind]:
        purged = (
            f" ({part.stop - part.start - len(part):,} purged, whose group comes later)"
            if part.chosen is not None
            else ""
        )
        raise DataError(f"The {name} has {len(part):,} labelled rows{purged}; {LEAST[kind]} are needed. {ADVICE}")
    if kind == "training":
        return
    days = made.frame(part)[made.time].dt.date()
    if _days(days) < LEAST_DAYS:
        raise DataError(
            f"The {name} lies within one day ({days[0]}); {LEAST_DAYS} days are needed,"
            f" because rows of a day resemble each other. {ADVICE}"
        )


def _days(days: pl.Series) -> int:
    return 1 if days[0] == days[-1] else LEAST_DAYS


def _check_label(made: Split, name: str, part: Rows, task: Task) -> None:
    label = made.frame(part)[made.label]
    if _is_constant(label):
        what = "is constant" if task == "regression" else "has one class only"
        raise DataError(f"In the {name} the label {what}: '{made.label}' = {label[0]}, nothing to tell apart. {ADVICE}")


def _is_constant(label: pl.Series) -> bool:
    first: Any = label[0]
    return bool((label == first).all())


def _check_classes(made: Split) -> None:
    """A class that training never saw cannot be predicted, and its rows would make every score meaningless."""
    classes = set(made.rows[made.label].unique().to_list())
    for number, fold in enumerate(made.folds):
        missing = classes - set(made.frame(fold.train)[made.label].unique().to_list())
        if missing:
            shown = ", ".join(f"'{value}'" for value in sorted(map(str, missing))[:5])
            raise DataError(
                f"In the training part of {_where(made, number)} no row has '{made.label}' = {shown}. {ADVICE}"
                " Or join rare classes in the source."
            )


def days_of(times: pl.Series) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the day of each event time, counted from 1970; (n_rows,)."""
    return times.dt.epoch("d").cast(pl.Int64).to_numpy()
