"""Columns that live blocks lack: since when, until when, and whether they still do; over all versions that answered.

It is counted from the blocks anew at each look, so that the same log gives the same outages, however often it is looked
at. A version whose reference lacks a column says nothing of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flywheel.profiling.block import Block
from flywheel.profiling.series import Series
from flywheel.profiling.watched import LABEL
from monitoring.drift.changes import Fault, changes_of, present_columns

# Of so many missing rows by chance, while a column is missing as often as in the reference. Where a block has one row,
# a column that is missing now and then has blocks without any value.
CHANCE = 1e-3


@dataclass(frozen=True)
class Outage:
    """One stretch of blocks in which a column has no value, or values of another type.

    Attributes:
        column: Its name.
        fault: What is wrong with it in the newest of them.
        start: Of the first block (naive UTC).
        end: Of the last.
        rows: In these blocks.
        lasts: Whether the newest block of all is among them.
    """

    column: str
    fault: Fault
    start: datetime
    end: datetime
    rows: int
    lasts: bool

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}


@dataclass(frozen=True)
class Faulty:
    """What is wrong with a column in one block; with the probability that a row lacks it in the reference."""

    block: Block
    fault: Fault
    missing: float


def outages(versions: Iterable[tuple[Series, Series]], as_of: datetime) -> tuple[Outage, ...]:
    """Return all outages, the oldest first.

    Args:
        versions: Reference and live blocks of each version that answered.
        as_of: Naive UTC; blocks that are not over then say nothing yet.
    """
    faults: dict[str, dict[datetime, Faulty]] = {}
    starts: set[datetime] = set()
    for reference, live in versions:
        over = [block for block in live.blocks if block.end <= as_of]
        starts.update(block.start for block in over)
        for column, found in _faulty(reference, over):
            faults.setdefault(column, {}).setdefault(found.block.start, found)
    ordered = sorted(starts)
    gone = [one for column, blocks in faults.items() for one in _outages(column, blocks, ordered)]
    return tuple(sorted(gone, key=lambda one: (one.start, one.column)))


def _faulty(reference: Series, blocks: Iterable[Block]) -> Iterator[tuple[str, Faulty]]:
    present = [name for name in present_columns(reference) if name != LABEL]  # outcomes come late, and some never
    missing = _missing(reference)
    for block in blocks:
        for change in changes_of(block, present):
            yield change.column, Faulty(block, change.fault, missing[change.column])


def _missing(reference: Series) -> Mapping[str, float]:
    """Return by column the probability that a row lacks it, half a row added to what was seen."""
    counts: dict[str, int] = {}
    for block in reference.blocks:
        for name, column in block.columns.items():
            counts[name] = counts.get(name, 0) + column.missing
    return {name: (none + 0.5) / (reference.rows + 1) for name, none in counts.items()}


def _outages(column: str, faulty: Mapping[datetime, Faulty], starts: list[datetime]) -> Iterator[Outage]:
    """Yield the stretches of blocks without a sound one between that chance does not explain."""
    run: list[Faulty] = []
    for start in starts:
        if start in faulty:
            run.append(faulty[start])
        elif run:
            yield from _outage(column, run, lasts=False)
            run = []
    if run:
        yield from _outage(column, run, lasts=True)


def _outage(column: str, run: list[Faulty], *, lasts: bool) -> Iterator[Outage]:
    rows, newest = sum(one.block.rows for one in run), run[-1]
    if newest.fault == "changed type" or newest.missing**rows <= CHANCE:
        yield Outage(column, newest.fault, run[0].block.start, newest.block.end, rows, lasts)
