"""A version's first live days against the rows it was trained on: does the service get what training got?

Flows in: the blocks of both, on one scale. Flows out: the columns that moved by much (see `first_windows`) and farther
than the days of training explain. How far a week is from the whole of training by chance and season, the weeks of
training show: Student's t of their distances, as many degrees of freedom as there are weeks less one, shared out over
the columns (Bonferroni), so that at most about one release in a hundred is told without cause.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
from scipy.special import stdtrit

from flywheel.profile import ColumnProfile
from flywheel.profiling.block import Block
from flywheel.profiling.scale import RANKS, ColumnScale
from flywheel.profiling.series import Series
from flywheel.profiling.watched import LABEL
from flywheel.statistics import Floats
from monitoring.skew.first_windows import LARGE, Moved, compare_profiles

FIRST = 7  # blocks, so that with days every weekday is among them
LEAST_ROWS = 100  # fewer make quantiles of nothing
LEVEL = 0.01  # probability of telling any column of a release although nothing has changed
LATE_BLOCKS = 2  # after which rows that come late are rare
FIRST_NAMED = 3  # columns in the sentence; the record has all
CUT = 2.0  # standard deviations, near the end of scores
OTHERS = "(others)"  # all values that training had too seldom to keep

# The share that is missing, the mean score, and the shares of categories, each of n_rows.
Figures = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Release:
    """What the first live blocks of a version say.

    Attributes:
        version: The registry's number.
        start: Of the first of them (naive UTC).
        end: Of the last.
        rows: In them.
        columns: That were compared.
        moved: Of these, those that moved, the farthest first.
        reason: The sentence.
    """

    version: str
    start: datetime
    end: datetime
    rows: int
    columns: int
    moved: tuple[Moved, ...]
    reason: str

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "version": self.version,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "columns": self.columns,
            "moved": [one.body() for one in self.moved],
            "reason": self.reason,
        }


def is_new(live: Series, changed: set[datetime], as_of: datetime) -> bool:
    """Say whether a version's first blocks are still coming in, or have changed since the look before.

    Args:
        live: All that it has answered, at least one block.
        changed: Starts of the blocks that are other than at the look before.
        as_of: Naive UTC.
    """
    first = live.blocks[:FIRST]
    return as_of <= first[0].start + (FIRST + LATE_BLOCKS) * live.every or any(one.start in changed for one in first)


def judge_release(version: str, reference: Series, live: Series, as_of: datetime) -> Release | None:
    """Compare a version's first live blocks with those it was trained on; None while they hold too few rows.

    Args:
        version: The registry's number.
        reference: At least one block.
        live: On the reference's scale, all arms together.
        as_of: Naive UTC; a block that is not over then waits.
    """
    first = [block for block in live.blocks[:FIRST] if block.end <= as_of]
    rows = sum(block.rows for block in first)
    if rows < LEAST_ROWS:
        return None
    columns = [column for column in reference.scale.columns if column.name != LABEL]  # outcomes are still to come
    before, now = reference.merged(), reduce(Block.merge, first)
    training, served = _profiles(before, columns), _profiles(now, columns)
    far = [one for one in compare_profiles(training, served) if one.reason]
    moved = tuple(
        one for one in far if _size(one, reference, first) > _limit(one.column, reference, len(first), len(training))
    )
    reason = _sentence(version, len(first), rows, moved, len(training))
    return Release(version, first[0].start, first[-1].end, rows, len(training), moved, reason)


def _profiles(block: Block, columns: Sequence[ColumnScale]) -> tuple[ColumnProfile, ...]:
    return tuple(_profile(block, column) for column in columns if column.name in block.columns)


def _profile(block: Block, column: ColumnScale) -> ColumnProfile:
    """Return a column of a block as what `compare_profiles` compares; times are compared by what is missing alone."""
    sketch = block.columns[column.name]
    shares: dict[str, float] = {}
    quantiles: tuple[float, ...] = ()
    if column.quantiles and sketch.present:
        quantiles = tuple(sketch.quantiles(RANKS).tolist())
    if column.name in block.categories and sketch.rows:
        scores = block.categories[column.name]
        counts = zip(column.vocabulary, scores.counts.tolist(), strict=True)
        shares = {name: rows / sketch.rows for name, rows in counts} | {OTHERS: scores.other / sketch.rows}
    return ColumnProfile(
        name=column.name,
        type=column.type,
        missing_share=sketch.missing_share,
        quantiles=quantiles,
        categories=shares,
    )


def _size(moved: Moved, reference: Series, first: Sequence[Block]) -> float:
    """Return how far a column moved, by the measure of `_limit`; scores end at 2.6, and beyond `CUT` medians tell."""
    served = _figures(_counts(moved.column, first).sum(axis=0, keepdims=True))
    found = float(_apart(served, _figures(_counts(moved.column, reference.blocks).sum(axis=0, keepdims=True)))[0])
    return found if found < CUT else max(found, moved.size)


def _limit(name: str, reference: Series, blocks: int, columns: int) -> float:
    """Return how far from training's whole a stretch of so many blocks may lie without being told; the least is LARGE.

    Each stretch of training is one observation of that distance, though overlapping ones share blocks.
    """
    stretches = sum(name in block.columns for block in reference.blocks) // blocks  # answers may be of few
    if stretches < 2:
        return LARGE  # there is nothing to hold it against
    usual = _distances(name, reference.blocks, blocks)
    spread = float(np.sqrt((usual**2).mean()))
    times = float(stdtrit(stretches - 1, 1 - LEVEL / 2 / columns))
    return max(LARGE, float(usual.max()), times * spread)


def _distances(name: str, blocks: Sequence[Block], length: int) -> Floats:
    """Return how far each stretch of `length` blocks lies from all of them.

    Returns:
        (n_blocks - length + 1,).
    """
    parts = _counts(name, blocks)
    sums = np.vstack([np.zeros_like(parts[:1]), np.cumsum(parts, axis=0)])
    return _apart(_figures(sums[length:] - sums[:-length]), _figures(sums[-1:]))


def _apart(figures: Figures, usual: Figures) -> Floats:
    """Return the distance by what is missing, by scores or by shares, whichever is largest, (n_rows,)."""
    missing, score = (np.abs(one - other) for one, other in zip(figures[:2], usual[:2], strict=True))
    shares = np.abs(figures[2] - usual[2]).sum(axis=1) / 2
    found: Floats = np.maximum(np.maximum(missing, score), shares)
    return found


def _counts(name: str, blocks: Sequence[Block]) -> Floats:
    """Return rows, missing rows, scored rows, their scores' sum, and rows by category, (n_blocks with it, 4 + …)."""
    return np.array([_counts_of(name, block) for block in blocks if name in block.columns], dtype=np.float64)


def _counts_of(name: str, block: Block) -> list[float]:
    sketch, scores, names = block.columns[name], block.numbers.get(name), block.categories.get(name)
    found: list[float] = [sketch.rows, sketch.missing]
    found += [0, 0] if scores is None else [scores.count, scores.mean * scores.count]
    return found if names is None else [*found, *names.counts.tolist(), names.other]


def _figures(counts: Floats) -> Figures:
    """Return the share that is missing, the mean score, and the shares of categories, of each row of counts."""
    rows, scored, named = counts[:, 0], counts[:, 2], counts[:, 4:]
    shares = named / np.maximum(named.sum(axis=1, keepdims=True), 1)
    return counts[:, 1] / np.maximum(rows, 1), counts[:, 3] / np.maximum(scored, 1), shares


def _sentence(version: str, blocks: int, rows: int, moved: Sequence[Moved], columns: int) -> str:
    what = f"The first {blocks} {'day' if blocks == 1 else 'days'} of version {version} ({rows:,} rows)"
    if not moved:
        return f"{what} are like its training rows in all {columns} columns."
    named = " ".join(one.reason for one in moved[:FIRST_NAMED])
    more = f" And {len(moved) - FIRST_NAMED} more." if len(moved) > FIRST_NAMED else ""
    return f"{what} are unlike its training rows in {len(moved)} of {columns} columns. {named}{more}"
