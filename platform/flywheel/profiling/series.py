"""Blocks in order of time, all of one length and on one scale: the profile of a reference, or of what is live."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import accumulate

from flywheel.errors import DataError
from flywheel.profiling.block import Block, merged_columns
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.scale import Scale

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Series:
    """A profile over time.

    Args:
        scale: On which the blocks' rows are scored.
        every: The length of a block; blocks begin at whole multiples of it since 1970.
        blocks: In order of time; there is none where there were no rows.
        whole: The columns of all rows, where the blocks' own have no quantiles; else empty.
    """

    scale: Scale
    every: timedelta = DAY
    blocks: tuple[Block, ...] = ()
    whole: Mapping[str, ColumnSketch] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all blocks."""
        return sum(block.rows for block in self.blocks)

    def merge(self, other: "Series") -> "Series":
        """Return the blocks of both; those of the same time become one.

        Raises:
            DataError: Their blocks are not of one length, or not on one scale.
        """
        if (self.every, self.scale) != (other.every, other.scale):
            raise DataError("Two profiles have blocks of different lengths or scales. Profile both on one reference.")
        whole = merged_columns(self.whole, other.whole) if self.whole and other.whole else {}
        return replace(self, blocks=merged_blocks([*self.blocks, *other.blocks]), whole=whole)

    def beside(self, other: "Series") -> "Series":
        """Return the series with the columns of both; `other` knows other columns of these rows, or of some of them.

        Raises:
            DataError: Their blocks are not of one length, or a column is in both.
        """
        if twice := [column.name for column in other.scale.columns if column.name in self.scale.names]:
            raise DataError(f"Column '{twice[0]}' is in both profiles. Rename one of them.")
        if self.every != other.every:
            raise DataError("Two profiles have blocks of different lengths. Profile both with the same.")
        theirs = {block.start: block for block in other.blocks}
        blocks = [block.beside(theirs.pop(block.start)) if block.start in theirs else block for block in self.blocks]
        whole = {**self.whole, **other.whole}
        return Series(self.scale.beside(other.scale), self.every, merged_blocks([*blocks, *theirs.values()]), whole)

    def merged(self) -> Block:
        """Return all rows as one block.

        Raises:
            DataError: There is no block.
        """
        if not self.blocks:
            raise DataError("The profile has no block: it was made of no rows. Choose a span that has some.")
        block = reduce(Block.merge, self.blocks)
        return replace(block, columns=self.whole) if self.whole else block

    def between(self, start: datetime, end: datetime) -> "Series":
        """Return the blocks with start <= their start < end (naive UTC)."""
        blocks = tuple(block for block in self.blocks if start <= block.start < end)
        return Series(self.scale, self.every, blocks)

    def newest(self, rows: int) -> "Series":
        """Return the last blocks that together have at least `rows` rows: a window by count."""
        later = list(accumulate(block.rows for block in reversed(self.blocks)))
        kept = bisect_left(later, rows) + 1
        return Series(self.scale, self.every, self.blocks[-kept:])

    def published(self) -> "Series":
        """Return what may go into a package: quantiles of the whole only, no rare value, nothing to test a guess by."""
        whole = {name: column.published() for name, column in self.merged().columns.items()} if self.blocks else {}
        return replace(self, blocks=tuple(block.published() for block in self.blocks), whole=whole)


def merged_blocks(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Return blocks in order of time, those of the same start as one."""
    found: dict[datetime, Block] = {}
    for block in blocks:
        found[block.start] = found[block.start].merge(block) if block.start in found else block
    return tuple(found[start] for start in sorted(found))
