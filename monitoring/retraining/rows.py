"""Which history a training gets: all of it, the last stretch, all with newer rows weighing more, or since a change."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from flywheel.errors import UsageError
from flywheel.monitor_spec import Retrain
from flywheel.statistics import Floats
from monitoring.retraining.changes import last_change

LEAST_HISTORY = timedelta(days=28)  # a change that is younger leaves too few days to learn from


@dataclass(frozen=True)
class RowWindow:
    """Rows to train on.

    Attributes:
        start: Event time of the first; None: the oldest there is.
        half_life: A row weighs half after each; None: all weigh alike.
        sentence: The same for people.
    """

    start: datetime | None
    half_life: timedelta | None
    sentence: str


ALL_ROWS = RowWindow(None, None, "all of it")


def choose_rows(policy: Retrain, now: datetime, first_day: datetime, daily: Floats) -> RowWindow:
    """Choose by a use case's policy.

    Args:
        policy: Says which way, and how long.
        now: As of when is trained; labels known later are not in `daily`.
        first_day: The day of the first value of `daily`.
        daily: (n_days,) means of the labels or of the loss of each day in turn, NaN where there was none; only for
            `change_point`.

    Raises:
        UsageError: The policy lacks the length that its way needs.
    """
    if policy.rows == "sliding":
        length = _needed(policy.length, "sliding", "length")
        return RowWindow(now - length, None, f"the last {_days(length)}")
    if policy.rows == "weighted":
        half_life = _needed(policy.half_life, "weighted", "half_life")
        return RowWindow(None, half_life, f"all of it, rows weighing half after each {_days(half_life)}")
    if policy.rows == "change_point":
        place = last_change(daily)
        change = None if place is None else first_day + timedelta(days=place)
        if change is None:
            return replace(ALL_ROWS, sentence="all of it: no change was found")
        start = min(change, now - LEAST_HISTORY)
        return RowWindow(start, None, f"since {start:%Y-%m-%d}, the last change being of {change:%Y-%m-%d}")
    return ALL_ROWS


def _needed(value: timedelta | None, way: str, name: str) -> timedelta:
    if value is None:
        raise UsageError(f"monitor.retrain.rows: {way} needs `{name}`. Write it into usecase.yaml.")
    return value


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):g} days"


def daily_means(values: Floats, day: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """Return the mean of the values of each day from the first to the last, NaN where there is none.

    Args:
        values: (n_rows,).
        day: (n_rows,), rising whole numbers.
    """
    if not len(day):
        return np.empty(0)
    place = day - day[0]
    rows = np.bincount(place)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(place, weights=values) / rows, dtype=np.float64)


def choose_live_rows(policy: Retrain, now: datetime, labelled: pl.DataFrame) -> RowWindow:
    """Choose by a use case's policy, a change being one of the outcomes in the prediction log.

    Args:
        policy: Says which way, and how long.
        now: As of when is trained.
        labelled: n_rows with `event_time`, rising, and `outcome`; read for `change_point` only. Outcomes that are names
            of classes have no mean that could change, so all of the history is taken.
    """
    if policy.rows != "change_point":
        return choose_rows(policy, now, now, np.empty(0))
    if labelled.is_empty() or not labelled["outcome"].dtype.is_numeric():
        return replace(ALL_ROWS, sentence="all of it: no outcomes that have a mean")
    day = labelled["event_time"].dt.epoch("d").cast(pl.Int64).to_numpy()
    first = datetime(1970, 1, 1) + timedelta(days=int(day[0]))
    return choose_rows(policy, now, first, daily_means(labelled["outcome"].cast(pl.Float64).to_numpy(), day))
