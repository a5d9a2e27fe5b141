"""A watch over all streams of a use case: learns a reference, takes block after block, alarms within a budget.

What it costs does not depend on how long it has watched. After an alarm the columns that moved are taken at their new
level, so that an alarm is told once and a second change is a second alarm. An alarm spends evidence: at least as much
as the threshold is gone, and what other columns have beyond it stays, so a noisy column hides no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from flywheel.errors import DataError
from flywheel.monitor_spec import Drift
from flywheel.profiling.block import Block
from flywheel.profiling.series import Series
from flywheel.statistics import Floats
from monitoring.drift.calendar import Calendar, calendar_of
from monitoring.drift.changes import Change, changes_of, present_columns
from monitoring.drift.kind import History, KindWatch
from monitoring.drift.moved import Moved, ranked_streams
from monitoring.drift.streams import SOURCES, WEIGHTS, Kind, Reading, Source, Stream, Streams, streams_of

LEAST_BLOCKS = 28  # of a reference: four weeks, so that every weekday was seen four times
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Look:
    """What one block added.

    Args:
        start: Of the block.
        rows: It has so many.
        e_value: The evidence up to and with it, that the streams have changed since the reference or the last alarm.
        alarm: Whether that reached the threshold.
        moved: On an alarm, the streams that have moved by their part of the evidence, the greatest first.
        changes: Columns that vanished or changed type.
        unseen: Holidays that the reference has not seen.
    """

    start: datetime
    rows: int
    e_value: float
    alarm: bool
    moved: tuple[Moved, ...] = ()
    changes: tuple[Change, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass
class Watch:
    """What has been learned; `learn` makes one.

    Args:
        settings: Budget, least effect, columns that are left out.
        streams: What is followed.
        calendar: What the calendar explains.
        reference: Starts of the reference's blocks.
        usual_rows: Rows of a usual block by kind of stream.
        kinds: What was learned of each kind.
        newest: Start of the newest block taken.
        present: Types of the reference's columns that have values.
    """

    settings: Drift
    streams: Streams
    calendar: Calendar
    reference: tuple[datetime, ...]
    usual_rows: Mapping[Kind, float]
    kinds: dict[Kind, KindWatch] = field(default_factory=dict)
    newest: datetime | None = None
    present: tuple[str, ...] = ()

    @property
    def threshold(self) -> float:
        """The e-value that is reached `false_alarms_per_year` times a year at most, while nothing changes."""
        return (YEAR / self.calendar.every) / self.settings.false_alarms_per_year

    @property
    def e_value(self) -> float:
        """The evidence of all streams together."""
        return float(sum(part * self.kinds[kind].e_value() for kind, part in self._parts().items()))

    def take(self, block: Block, *, whole: bool = True) -> Look:
        """Take the next block in order of time.

        Args:
            block: On the reference's scale.
            whole: Whether it has all its rows; if not, their number is no evidence.

        Raises:
            DataError: It is not later than the newest one, or than the reference.
        """
        last = self.newest or self.reference[-1]
        if block.start <= last:
            raise DataError(
                f"Block {block.start} is not later than {last}, the newest taken. Take blocks in their order,"
                " and those that late rows have changed from the reference on."
            )
        self._pass_gap(block.start)
        self.newest = block.start
        reading, changes = self.streams.read(block), changes_of(block, self.present)
        if not whole:
            reading.values[Kind.ROWS][:] = np.nan
        design = self.calendar.design(block.start)
        for kind, watch in self.kinds.items():
            watch.take(
                _usable(reading.values[kind], watch.streams, changes), design[: watch.terms], self.noise(kind, reading)
            )
        return self._look(block, changes)

    def _look(self, block: Block, changes: tuple[Change, ...]) -> Look:
        e_value = self.e_value
        moved: tuple[Moved, ...] = ()
        if e_value >= self.threshold:
            moved = self.ranked(block.start, self.threshold)
            self._spend(e_value, [one.stream for one in moved])
        unseen = self.calendar.unseen(block.start, self.reference)
        return Look(block.start, block.rows, e_value, e_value >= self.threshold, moved, changes, tuple(unseen))

    def _spend(self, e_value: float, moved: Sequence[Stream]) -> None:
        """Take the threshold's worth of evidence: all of the columns that moved, and of the others what is short of it.

        The evidence less what alarms have spent grows by one a block at most while nothing changes, as before any.
        """
        columns = {stream.column for stream in moved}
        for watch in self.kinds.values():
            watch.settle(moved, columns)
        left = self.e_value
        kept = min(1.0, (e_value - self.threshold) / left) if left else 0.0
        for watch in self.kinds.values():
            watch.detectors.fade(kept)

    def ranked(self, start: datetime, threshold: float | None = None) -> tuple[Moved, ...]:
        """Rank streams by their part of the evidence up to the block that begins at `start`; see `ranked_streams`."""
        return ranked_streams(self.kinds, self._parts(), threshold, start=start, every=self.calendar.every)

    def _parts(self) -> dict[Kind, float]:
        total = sum(WEIGHTS[kind] for kind in self.kinds)
        return {kind: WEIGHTS[kind] / total for kind in self.kinds}

    def _pass_gap(self, start: datetime) -> None:
        last = self.newest or self.reference[-1]
        for _ in range((start - last) // self.calendar.every - 1):
            for watch in self.kinds.values():
                watch.whitener.pass_time()

    def noise(self, kind: Kind, reading: Reading) -> float:
        """Return the sampling variance of a block over that of a usual one."""
        return 1.0 if kind is Kind.ROWS else self.usual_rows[kind] / max(reading.rows[kind], 1.0)


def learn(
    reference: Series, settings: Drift, *, sources: Mapping[str, Source] = SOURCES, seasons: bool = True
) -> Watch:
    """Learn what is usual from a reference.

    Args:
        reference: Series on its own scale; blocks without any rows may be absent.
        settings: Budget, least effect, country, columns that are left out.
        sources: Of what a column tells, by its name; inputs are not listed.
        seasons: Whether times are times, and not merely an order.

    Raises:
        DataError: It has fewer than `LEAST_BLOCKS` blocks.
    """
    if len(reference.blocks) < LEAST_BLOCKS:
        raise DataError(
            f"The reference has {len(reference.blocks)} blocks, and it takes {LEAST_BLOCKS} to know what is usual."
            " Give it more time, or shorter blocks."
        )
    streams = streams_of(reference, settings.exclude, sources)
    starts = [block.start for block in reference.blocks]
    calendar = calendar_of(starts, reference.every, settings.country, seasons=seasons)
    readings = [streams.read(block) for block in reference.blocks]
    usual = {kind: float(np.median([reading.rows[kind] for reading in readings])) for kind in streams.by_kind}
    present = present_columns(reference, settings.exclude)
    watch = Watch(settings, streams, calendar, tuple(starts), usual, present=present)
    designs = np.array([calendar.design(start) for start in starts])
    gaps = np.array([0, *((late - early) // reference.every - 1 for early, late in pairwise(starts))])
    for kind, followed in streams.by_kind.items():
        values = np.array([reading.values[kind] for reading in readings])
        if kind is Kind.ROWS:
            values[[0, -1]] = np.nan  # the first and the last block may be cut
        noise = np.array([watch.noise(kind, reading) for reading in readings])
        terms = 1 if kind is Kind.TOGETHER else designs.shape[1]
        floor = np.array([stream.row_variance for stream in followed]) / max(usual[kind], 1.0)
        history = History(values, designs[:, :terms], noise, gaps, floor)
        variances = calendar.variances()[:terms]
        watch.kinds[kind] = KindWatch.learn(kind, followed, history, variances, settings.least_effect)
    watch.kinds[Kind.ROWS].begin_anew()  # what is asked says nothing of how much there was to train on
    return watch


def _usable(values: Floats, streams: Sequence[Stream], changes: Sequence[Change]) -> Floats:
    """Leave out what columns that vanished or changed type would tell: it was told already."""
    gone = {change.column for change in changes}
    out = [bool(gone) and (stream.column in gone or stream.detail in gone) for stream in streams]
    return np.where(out, np.nan, values)
