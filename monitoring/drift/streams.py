"""From profiles to streams: what is followed from block to block, each with its sampling noise known from the counts.

Means of normal scores and logs of their trimmed variance tell of numbers; shares of what is missing, common, rare or
new are followed as `monitoring.drift.shares` says; correlations of scores by Fisher's z.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

import numpy as np

from flywheel.profiling.block import Block
from flywheel.profiling.scale import PLACES
from flywheel.profiling.series import Series
from flywheel.statistics import Floats
from monitoring.drift.shares import Share, Shares

Source = Literal["input", "prediction", "outcome"]
SOURCES: Mapping[str, Source] = {"prediction": "prediction", "label": "outcome"}

COMMON, MOST_COMMON = 0.02, 12  # categories with a stream of their own, at most so many a column
TRIMMED = 0.1  # of rows on either side leave no mark on the spread, which the ends of the scale would cut otherwise
ENDS = 3  # places on either side of the scale that lie too far apart to tell a spread
SCATTERED = 0.9  # a column whose values nearly all are unknown to its scale is a key or free text
# Of a reference's blocks that must know a column: of one that half of them know, days are thought to last otherwise
# than they do (benchmarks/drift_answers.py: 0.9 to 1.3 false alarms a year instead of 0.1).
LEAST_KNOWN = 0.9
# Rows of a usual block from which on more than means is followed: of one row a share is all or nothing.
LEAST_SHARED = 20
LEAST_VARIANCE = 1e-4  # of scores: what does not vary at all


class Kind(StrEnum):
    """What of a column is followed."""

    MEAN = "mean"
    SPREAD = "spread"
    MISSING = "missing"
    SHARE = "share"
    RARE = "rare"
    NEW = "new"
    TOGETHER = "together"
    ROWS = "rows"


# How much of the evidence each kind is given; where one is absent the others have its part.
WEIGHTS = {
    Kind.MEAN: 16.0,
    Kind.SPREAD: 2.0,
    Kind.MISSING: 4.0,
    Kind.SHARE: 3.0,
    Kind.RARE: 0.5,
    Kind.NEW: 2.0,
    Kind.TOGETHER: 1.0,
    Kind.ROWS: 0.25,
}
SHARES = (Kind.MISSING, Kind.SHARE, Kind.RARE, Kind.NEW)
# Sampling variance of a stream times the rows of its block, at least: the log of a trimmed variance has 4 for a normal
# column and less for a flat one.
ROW_VARIANCE = {Kind.MEAN: 1.0, Kind.SPREAD: 1.0, Kind.TOGETHER: 0.8, Kind.ROWS: 1.0}


@dataclass(frozen=True)
class Stream:
    """One figure of a column.

    Args:
        kind: What it is of.
        column: Its name; empty for rows.
        source: Of what the column tells.
        detail: A category's name, or the other column of a correlation.
        places: Those of the vocabulary whose rows are counted, for shares of known categories.
        share: For shares: how it is followed.
        within: For means: the variance of scores within blocks.
    """

    kind: Kind
    column: str
    source: Source = "input"
    detail: str = ""
    places: tuple[int, ...] = ()
    share: Share | None = None
    within: float = 1.0

    @property
    def row_variance(self) -> float:
        """The sampling variance in a block times its rows."""
        return ROW_VARIANCE[self.kind] * self.within if self.share is None else self.share.row_variance

    @property
    def unit(self) -> float:
        """How far one standard deviation of a column's rows is, in units of the stream."""
        if self.share is not None:
            return self.share.unit
        return 2.0 if self.kind is Kind.SPREAD else 1.0  # a log variance changes twice as much as a log deviation


@dataclass(frozen=True)
class Reading:
    """One block: `values` by kind (n_streams,), NaN where there is nothing, and `rows` by kind that they rest on."""

    start: datetime
    values: Mapping[Kind, Floats]
    rows: Mapping[Kind, float]


class Named(NamedTuple):
    """Rows of a column's values in one block: by place of the vocabulary, of other values, and all."""

    counts: list[int]
    other: int
    rows: int


@dataclass(frozen=True)
class Streams:
    """What is followed of a reference: streams by kind, in the order of its columns."""

    by_kind: Mapping[Kind, tuple[Stream, ...]]
    shares: Mapping[Kind, Shares] = field(init=False)

    def __post_init__(self) -> None:
        shares = {
            kind: Shares.of([stream.share for stream in self.by_kind.get(kind, ()) if stream.share is not None])
            for kind in SHARES
        }
        object.__setattr__(self, "shares", shares)

    def read(self, block: Block) -> Reading:
        """Return the streams' values in a block on the reference's scale."""
        means, spreads = _moments(block, [stream.column for stream in self.by_kind.get(Kind.MEAN, ())])
        values = {Kind.MEAN: means, Kind.SPREAD: spreads, Kind.ROWS: np.array([np.log(max(block.rows, 1))])}
        named = _named_rows(block)
        values |= {kind: self._shares(block, kind, named) for kind in SHARES}
        values[Kind.TOGETHER] = self._correlations(block)
        together = block.together.rows if block.together else 0
        rows = {kind: float(together if kind is Kind.TOGETHER else block.rows) for kind in self.by_kind}
        return Reading(block.start, {kind: values[kind] for kind in self.by_kind}, rows)

    def _shares(self, block: Block, kind: Kind, named: Mapping[str, Named]) -> Floats:
        streams = self.by_kind.get(kind, ())
        counts = np.array([_counts(block, stream, named) for stream in streams], dtype=np.float64).reshape(-1, 2)
        return self.shares[kind].values(counts[:, 0], counts[:, 1]) if streams else np.zeros(0)

    def _correlations(self, block: Block) -> Floats:
        streams = self.by_kind.get(Kind.TOGETHER, ())
        if not streams or block.together is None or block.together.rows < 4:
            return np.full(len(streams), np.nan)
        place = {name: number for number, name in enumerate(block.together.names)}
        found = block.together.correlation()
        pairs = np.array([(place[stream.column], place[stream.detail]) for stream in streams])
        return np.asarray(np.arctanh(found[pairs[:, 0], pairs[:, 1]].clip(-0.999, 0.999)))


def streams_of(reference: Series, exclude: tuple[str, ...] = (), sources: Mapping[str, Source] = SOURCES) -> Streams:
    """Choose what is followed, from the reference alone.

    Args:
        reference: Series on its own scale, at least one block.
        exclude: Columns that are not watched.
        sources: Of what a column tells, by its name; inputs are not listed.
    """
    scale, found = reference.scale, {kind: list[Stream]() for kind in Kind}
    exclude = (*exclude, *too_little_known(reference))
    for column in scale.columns:
        if column.name in exclude:
            continue
        source = sources.get(column.name, "input")
        found[Kind.MISSING].append(Stream(Kind.MISSING, column.name, source))
        if column.quantiles:
            found[Kind.MEAN].append(Stream(Kind.MEAN, column.name, source, within=_within(reference, column.name)))
            found[Kind.SPREAD].append(Stream(Kind.SPREAD, column.name, source))
    for named in scale.named:
        if named.name not in exclude:
            for stream in _named(reference, named.name, named.vocabulary, sources.get(named.name, "input")):
                found[stream.kind].append(stream)
    paired = [name for name in scale.paired if name not in exclude]
    found[Kind.TOGETHER] = [
        Stream(Kind.TOGETHER, one, "input", other) for place, one in enumerate(paired) for other in paired[place + 1 :]
    ]
    found[Kind.ROWS].append(Stream(Kind.ROWS, ""))
    if reference.rows < LEAST_SHARED * len(reference.blocks):
        found[Kind.SPREAD], found[Kind.TOGETHER] = [], []
    for kind in SHARES:
        found[kind] = _with_shares(found[kind], reference)
    return Streams({kind: tuple(streams) for kind, streams in found.items() if streams})


def too_little_known(reference: Series) -> tuple[str, ...]:
    """Return the columns that too few blocks know, such as answers in packages that hold those of test rows alone."""
    known: dict[str, int] = {}
    for block in reference.blocks:
        for name in block.columns:
            known[name] = known.get(name, 0) + 1
    return tuple(name for name, blocks in known.items() if blocks < LEAST_KNOWN * len(reference.blocks))


def _with_shares(streams: list[Stream], reference: Series) -> list[Stream]:
    """Choose how each share is followed, from what it is in the reference."""
    if not streams:
        return []
    counts = np.zeros((len(streams), 2))
    for block in reference.blocks:
        named = _named_rows(block)
        counts += np.array([_counts(block, stream, named) for stream in streams])
    blocks = len(reference.blocks)
    return [
        replace(stream, share=Share.of(count / max(rows, 1), rows / blocks))
        for stream, (count, rows) in zip(streams, counts.tolist(), strict=True)
        if rows >= LEAST_SHARED * blocks
    ]


def _within(reference: Series, name: str) -> float:
    scores = [block.numbers[name] for block in reference.blocks if name in block.numbers]
    rows = sum(part.count for part in scores)
    return max(sum(part.variance * part.count for part in scores) / max(rows, 1), LEAST_VARIANCE)


def _named(reference: Series, name: str, vocabulary: tuple[str, ...], source: Source) -> list[Stream]:
    parts = [block.categories[name] for block in reference.blocks if name in block.categories]
    counts, rows = np.sum([part.counts for part in parts], axis=0), max(sum(part.count for part in parts), 1)
    if sum(part.other for part in parts) > SCATTERED * rows:
        return []
    frequent = [place for place, count in enumerate(counts) if count >= COMMON * rows][:MOST_COMMON]
    streams = [Stream(Kind.SHARE, name, source, vocabulary[place], (place,)) for place in frequent]
    rare = tuple(place for place in range(len(vocabulary)) if place not in frequent)
    streams += [Stream(Kind.RARE, name, source, places=rare)] if rare else []
    return [*streams, Stream(Kind.NEW, name, source)]


def _moments(block: Block, names: list[str]) -> tuple[Floats, Floats]:
    """Return mean score and log trimmed variance of scores of numeric columns, (n_columns,).

    Where the trimmed rows reach the end of the scale, the spread cannot be read.
    """
    nothing = np.zeros(len(PLACES))
    known = [block.numbers[name].counts if name in block.numbers else nothing for name in names]
    counts = np.array(known).reshape(len(names), len(PLACES))
    rows = counts.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = counts / rows[:, None]
        means = part @ PLACES
        upto = part.cumsum(axis=1)
        kept = np.minimum(upto, 1 - TRIMMED) - np.maximum(upto - part, TRIMMED)
        kept = np.maximum(kept, 0) / (1 - 2 * TRIMMED)
        centre = kept @ PLACES
        spreads = np.log(np.maximum(kept @ PLACES**2 - centre**2, LEAST_VARIANCE))
    read = (rows > 4) & (kept[:, :ENDS].sum(axis=1) + kept[:, -ENDS:].sum(axis=1) == 0)
    return means, np.where(read, spreads, np.nan)


def _named_rows(block: Block) -> Mapping[str, Named]:
    return {name: Named(one.counts.tolist(), one.other, one.count) for name, one in block.categories.items()}


def _counts(block: Block, stream: Stream, named: Mapping[str, Named]) -> tuple[int, int]:
    """Return how many rows of how many a share is of."""
    if stream.kind is Kind.MISSING:
        sketch = block.columns.get(stream.column)
        return (0, 0) if sketch is None else (sketch.missing, sketch.rows)
    found = named.get(stream.column)
    if found is None:
        return 0, 0
    if stream.kind is Kind.NEW:
        return found.other, found.rows
    return sum(found.counts[place] for place in stream.places), found.rows
