"""The label: which task it makes, which of its values counts as 1, and when it seems to be known."""

import re
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Label, Task

MAX_CLASSES = 50
MAX_WHOLE_CLASSES = 10
POSITIVE = re.compile(
    "1|yes|y|true|t|pos|positive|late|churn|churned|fraud|default|bad|fail|failed|failure|sick|ill|spam|won|accepted"
    "|bought|click|clicked",
    re.IGNORECASE,
)
SLACK = 0.05
TAIL_FILLED = 0.02


@dataclass(frozen=True)
class Target:
    """The inferred task and label, with the reasons."""

    task: Task
    label: Label
    why_task: str
    why_positive: str
    why_delay: str
    why_missing: str


def infer_target(column: pl.Series, times: pl.Series) -> Target:
    """Infer the task from a label's values, (n_rows,), sorted by `times`.

    Raises:
        DataError: It has fewer than two values, or too many to be classes.
    """
    values = column.fill_nan(None) if column.dtype.is_float() else column
    values = values.cast(pl.String) if values.dtype in (pl.Categorical, pl.Enum) else values
    found = values.drop_nulls()
    distinct = found.n_unique()
    if distinct < 2:
        raise DataError(f"Label '{column.name}' has {distinct} distinct values. Choose a column that varies.")
    whole = values.dtype.is_integer() or (values.dtype.is_numeric() and bool((found == found.round(0)).all()))
    task, why = _task(column.name, values, distinct, whole=whole)
    positive, why_positive = _positive(found, task)
    delay, why_delay = _delay(values, times)
    share = _missing(values, times, delay)
    most = 0.1 if share <= 0.1 - SLACK else min(1.0, round(share + SLACK, 2))
    return Target(
        task,
        Label(column=column.name, available_after=delay, positive=positive, max_missing=most),
        why,
        why_positive,
        why_delay,
        f"{share:.1%} of the labels that should be known are missing now",
    )


def _task(name: str, values: pl.Series, distinct: int, *, whole: bool) -> tuple[Task, str]:
    kind = values.dtype
    if distinct == 2:
        return "binary", "the label has two values"
    if kind.is_numeric() and whole and distinct <= MAX_WHOLE_CLASSES:
        return "multiclass", f"the label has {distinct} whole numbers; write regression if their size matters"
    if kind.is_numeric():
        return "regression", f"the label is a number with {distinct:,} values"
    if kind != pl.String:
        raise DataError(f"Label '{name}' is of type {kind}. Choose a column of numbers, text or booleans.")
    if distinct > MAX_CLASSES:
        raise DataError(f"Label '{name}' is text with {distinct:,} values, too many to be classes. Choose another.")
    return "multiclass", f"the label is text with {distinct} values"


def _positive(found: pl.Series, task: Task) -> tuple[str | int | bool | None, str]:
    if task != "binary" or found.dtype == pl.Boolean:
        return None, ""
    if found.dtype.is_numeric():
        if ((found == 0) | (found == 1)).all():
            return None, ""
        return int(found.max()), "the larger of both"  # type: ignore[arg-type]  # two whole numbers
    counts = found.value_counts(sort=True)
    values = [str(value) for value in counts[found.name].to_list()]
    for value in values:
        if POSITIVE.fullmatch(value.strip()):
            return value, f"by its name; the other is '{next(other for other in values if other != value)}'"
    return values[-1], f"the rarer of both; the other is '{values[0]}'"


def _delay(values: pl.Series, times: pl.Series) -> tuple[timedelta, str]:
    """Take the newest rows' missing labels for a delay, when before them nearly none are missing."""
    known = values.is_not_null()
    last = known.arg_true()[-1]
    tail = len(values) - 1 - last
    before = float(values[: last + 1].null_count()) / (last + 1)
    gap: timedelta = times[-1] - times[last]
    if tail < 5 or before > TAIL_FILLED or gap <= timedelta(0):
        return timedelta(0), "0s: at once"
    unit = timedelta(days=1) if gap > timedelta(hours=12) else timedelta(hours=1)
    return (gap // unit + 1) * unit, f"the newest {tail:,} rows, and only they, have no label yet; correct it"


def _missing(values: pl.Series, times: pl.Series, delay: timedelta) -> float:
    known = times <= times[-1] - delay
    return float((values.is_null() & known).sum()) / max(int(known.sum()), 1)
