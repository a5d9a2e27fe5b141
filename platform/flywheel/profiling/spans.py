"""The rows of a frame in order of time, cut into blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.column_rules import EPOCH
from flywheel.errors import DataError

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Spans:
    """Blocks of rows.

    Args:
        numbers: (n_blocks,), rising: a block begins at `numbers` times `every` since 1970.
        bounds: (n_blocks + 1,): a block's rows are those from its bound to the next.
        every: The length of a block.
    """

    numbers: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    every: timedelta

    def __iter__(self) -> Iterator[slice]:
        """Yield each block's rows."""
        for begin, end in zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True):
            yield slice(begin, end)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def rows(self) -> list[int]:
        """How many rows each block has."""
        counts: list[int] = np.diff(self.bounds).tolist()
        return counts

    @property
    def index(self) -> npt.NDArray[np.int64]:
        """Each row's block, from 0: (n_rows,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))

    @property
    def starts(self) -> list[datetime]:
        """Where each block begins, naive UTC.

        Raises:
            DataError: In no year that a calendar has.
        """
        try:
            return [EPOCH + self.every * number for number in self.numbers.tolist()]
        except OverflowError as fault:
            raise DataError("An event time lies outside of the years 1 to 9999. Correct the source.") from fault


def in_spans(frame: pl.DataFrame, event_time: str, every: timedelta) -> tuple[pl.DataFrame, Spans]:
    """Return the frame in order of event time, and its blocks.

    Raises:
        DataError: The event time is missing in the frame or in a row, or is no time; or `every` is none.
    """
    if every < MICROSECOND:
        raise DataError(f"Blocks of {every} cannot be made. Give them a length, such as a day.")
    times = _times(frame, event_time)
    if not times.is_sorted():
        order = times.arg_sort()
        frame, times = frame[order], times[order]
    numbers, first = np.unique(times.to_physical().to_numpy() // (every // MICROSECOND), return_index=True)
    return frame, Spans(numbers, np.append(first, frame.height), every)


def _times(frame: pl.DataFrame, event_time: str) -> pl.Series:
    if event_time not in frame.columns or frame[event_time].dtype not in (pl.Datetime, pl.Date):
        raise DataError(f"Event time '{event_time}' is no column of times. Name the column that says when a row was.")
    times = frame[event_time]
    if times.null_count():
        raise DataError(f"Event time '{event_time}' is missing in {times.null_count()} rows. Leave these rows out.")
    return naive(times)


def naive(times: pl.Series) -> pl.Series:
    """Return dates or times as naive UTC in microseconds, (n,)."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return times.cast(pl.Datetime("us"))
