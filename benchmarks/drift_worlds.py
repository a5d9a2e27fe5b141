"""Worlds of rows for the benchmarks of drift: drawn, placed and counted by the functions that profiles are made with.

A world's rows have day effects, which last (AR(1)) and which columns share in part, a weekly season, and correlated
columns. Sketches of quantiles are made of the reference only, for its scale: decisions read scores and counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from flywheel.profiling.block import Block
from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.quantiles import Quantiles
from flywheel.profiling.scale import RANKS, ColumnScale, Scale, place
from flywheel.profiling.scores import STEPPED, CategoryScores, NumberScores, Together
from flywheel.profiling.series import Series
from flywheel.statistics import Floats

BEGIN, DAY = datetime(2021, 1, 4), timedelta(days=1)
SHARED = 0.3  # of the variance of day effects, between columns
SEASON = 0.5  # standard deviation of weekday effects over that of day effects
SHARES = (0.5, 0.3, 0.14, 0.04, 0.015, 0.005)  # of the values of a column of categories
EVERY_CATEGORY, EVERY_MISSING, MISSING = 5, 4, 0.02  # every fifth column has categories, every fourth missing values
PLACES = 203
PAIRED_ROWS = 5_000


@dataclass(frozen=True)
class World:
    """What rows look like.

    Args:
        columns: So many, four of five numeric.
        rho: Share of the variance of a numeric column that is its day's, 0 to 1.
        phi: How much of a day's effect is left on the next.
        heavy: Day effects are driven by Student t of four degrees, not by normal values.
        rows: Rows a day.
        uneven: Rows differ from day to day, between a fifth and five times as many.
        correlation: Of the rows of numeric columns within a day.
        reference: Days of the reference.
        live: Days after it.
    """

    columns: int = 50
    rho: float = 0.1
    phi: float = 0.5
    heavy: bool = False
    rows: int = 500
    uneven: bool = False
    correlation: float = 0.3
    reference: int = 90
    live: int = 365

    @property
    def name(self) -> str:
        """The world in short."""
        tail = "t4" if self.heavy else "gauss"
        rows = f"{self.rows}{'±' if self.uneven else ''} rows"
        return f"p{self.columns} ρ{self.rho:g} φ{self.phi:g} {tail} {rows} ref{self.reference}"


@dataclass(frozen=True)
class Shift:
    """What changes from day `day` of the live days on, in the first column of its kind.

    Args:
        day: From 0.
        mean: Standard deviations.
        spread: Factor of the standard deviation.
        missing: Share of missing values, instead of none or of `MISSING`.
        new: Share of a value that was not there before.
        columns: So many are shifted.
        calendar: What each day of all adds to every column, (n_days,), in standard deviations; None for nothing.
    """

    day: int = 100
    mean: float = 0.0
    spread: float = 1.0
    missing: float | None = None
    new: float = 0.0
    columns: int = 1
    calendar: Floats | None = None


@dataclass(frozen=True)
class Drawn:
    """The rows of some days: `numbers` (n_columns, n_rows) NaN where missing, `codes` (n_named, n_rows).

    `ends` (n_days,) is where each day's rows end.
    """

    numbers: Floats
    codes: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


@dataclass
class Draw:
    """Draws the days of one world in their order, with what is shifted."""

    world: World
    shift: Shift
    seed: int
    effects: Floats = field(init=False)
    sizes: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        world, days = self.world, self.world.reference + self.world.live
        cell = (world.columns, round(100 * world.rho), round(10 * world.phi), int(world.heavy), world.rows)
        self.generator = np.random.default_rng([self.seed, *cell, world.reference])
        self.named = world.columns // EVERY_CATEGORY
        self.numeric = world.columns - self.named
        effects = self.numeric + self.named * len(SHARES)
        own, together = self._lasting((days, effects)), self._lasting((days, 1))
        season = SEASON * self.generator.normal(size=(7, effects))
        effect = np.sqrt(SHARED) * together + np.sqrt(1 - SHARED) * own + season[np.arange(days) % 7]
        self.effects = np.sqrt(world.rho) * effect
        if self.shift.calendar is not None:
            self.effects += self.shift.calendar[:, None]
        self.sizes = np.full(days, world.rows)
        if world.uneven:
            self.sizes = np.rint(world.rows * 5 ** self.generator.uniform(-1, 1, days)).astype(np.int64)

    def days(self, first: int, count: int) -> Drawn:
        """Draw the rows of days from `first` on, from 0; days are drawn in their order."""
        world, sizes = self.world, self.sizes[first : first + count]
        day = np.repeat(np.arange(first, first + count), sizes)
        latent = self.generator.standard_normal((self.numeric, len(day)))
        if world.correlation:
            common = self.generator.standard_normal(len(day))
            latent *= np.sqrt(1 - world.correlation)
            latent += np.sqrt(world.correlation) * common
        latent *= np.sqrt(1 - world.rho)
        for column in range(self.numeric):
            latent[column] += self.effects[day, column]
        moved = day >= world.reference + self.shift.day
        if moved.any():
            self._shift(latent, moved)
        numbers, codes = latent, self._codes(day)
        for column in range(0, self.numeric, EVERY_MISSING):
            gone = self.shift.missing if column == 0 and self.shift.missing is not None else MISSING
            share = np.where(moved, gone, MISSING) if column == 0 else MISSING
            numbers[column, self.generator.random(len(day)) < share] = np.nan
        if self.shift.new and self.named:
            codes[0, moved & (self.generator.random(len(day)) < self.shift.new)] = len(SHARES)
        return Drawn(numbers, codes, np.cumsum(sizes))

    def _codes(self, day: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Draw values of categories: days move the log-odds of each value as far as they move numbers."""
        world, codes = self.world, np.zeros((self.named, len(day)), dtype=np.int64)
        odds = LOGISTIC / np.sqrt(1 - world.rho) * self.effects[:, self.numeric :].reshape(-1, self.named, len(SHARES))
        parts = np.array(SHARES) * np.exp(odds)
        upto = (parts / parts.sum(axis=2, keepdims=True)).cumsum(axis=2)
        for column in range(self.named):
            chance = self.generator.random(len(day))
            for value in range(len(SHARES) - 1):
                codes[column] += chance > upto[day, column, value]
        return codes

    def _shift(self, latent: Floats, moved: npt.NDArray[np.bool_]) -> None:
        for column in range(self.shift.columns):
            latent[column, moved] = latent[column, moved] * self.shift.spread + self.shift.mean

    def _lasting(self, shape: tuple[int, int]) -> Floats:
        phi, generator = self.world.phi, self.generator
        pushes = generator.standard_t(4, shape) / np.sqrt(2) if self.world.heavy else generator.normal(size=shape)
        for day in range(1, shape[0]):
            pushes[day] = phi * pushes[day - 1] + np.sqrt(1 - phi**2) * pushes[day]
        return np.asarray(pushes)


LOGISTIC = np.pi / np.sqrt(3)  # the standard deviation of a logistic value, whose odds are log-odds
VOCABULARY = ("a", "b", "c", "d", "e", "f")
SCALE_ROWS = 20_000  # of each column make the scale, of every third day: any ruler measures, if it stays the same
SCALE_DAYS = 3
PIECE_ROWS = 16_384  # drawn at a time


def series_of(world: World, shift: Shift, seed: int) -> tuple[Series, Iterator[tuple[Block, Drawn]]]:
    """Draw a reference's series, and blocks one by one with their rows, for those who judge rows.

    The blocks' sketches hold no quantiles: no decision reads them.
    """
    scale, draw = _scale(world, shift, seed), Draw(world, shift, seed)
    blocks = _blocks(draw, scale, 0, world.reference)
    reference = Series(scale, DAY, tuple(block for block, _ in blocks))
    return reference, _blocks(draw, scale, world.reference, world.reference + world.live)


def _blocks(draw: Draw, scale: Scale, begin: int, end: int) -> Iterator[tuple[Block, Drawn]]:
    step = max(PIECE_ROWS // draw.world.rows, 1)
    for first in range(begin, end, step):
        days = min(step, end - first)
        yield from blocks_of(draw.days(first, days), first, scale)


def blocks_of(drawn: Drawn, first: int, scale: Scale) -> Iterator[tuple[Block, Drawn]]:
    """Profile days as `flywheel.profiling.profile` does, without sketches of quantiles, a column at a time."""
    days = len(drawn.ends)
    rows = np.diff(drawn.ends, prepend=0)
    day, paired = np.repeat(np.arange(days), rows), scale.paired
    stepped = np.zeros((len(paired), len(day)), dtype=np.int8)
    numbers, missing = {}, {}
    for number, column in enumerate(scale.numeric):
        values = drawn.numbers[number]
        there = ~np.isnan(values)
        whole = bool(there.all())
        places = place(values if whole else values[there], column.quantiles)
        day_of = day if whole else day[there]
        numbers[column.name] = np.bincount(day_of * PLACES + places, minlength=days * PLACES).reshape(days, PLACES)
        missing[column.name] = rows - np.bincount(day_of, minlength=days)
        if number < len(paired):
            stepped[number, there] = STEPPED[places]
    width = len(SHARES) + 1
    codes = {
        column.name: np.bincount(day * width + drawn.codes[number], minlength=days * width).reshape(days, width)
        for number, column in enumerate(scale.named)
    }
    types = {column.name: column.type for column in scale.columns}
    for count in range(days):
        start, span = BEGIN + DAY * (first + count), slice(drawn.ends[count] - rows[count], drawn.ends[count])
        size = int(rows[count])
        sketches = {
            name: ColumnSketch(name, kind, size, int(missing[name][count]) if name in missing else 0)
            for name, kind in types.items()
        }
        beside = stepped[:, span][:, :PAIRED_ROWS].T
        block = Block(
            start,
            start + DAY,
            size,
            sketches,
            {name: NumberScores(counts[count]) for name, counts in numbers.items()},
            {name: CategoryScores(counts[count][:-1], int(counts[count][-1])) for name, counts in codes.items()},
            Together.of(paired, beside),
        )
        yield block, Drawn(drawn.numbers[:, span], drawn.codes[:, span], np.array([size]))


def _scale(world: World, shift: Shift, seed: int) -> Scale:
    draw, numbers = Draw(world, shift, seed), list[Floats]()
    step = max(world.reference * world.rows // SCALE_ROWS, 1)
    for day in range(0, world.reference, SCALE_DAYS):
        numbers.append(draw.days(day, 1).numbers[:, ::step])
    joined = np.concatenate(numbers, axis=1)
    scaled = [_numeric(number, values[~np.isnan(values)]) for number, values in enumerate(joined)]
    named = [ColumnScale(f"c{number}", "string", vocabulary=VOCABULARY) for number in range(draw.named)]
    return Scale((*scaled, *named))


def _numeric(number: int, values: Floats) -> ColumnScale:
    return ColumnScale(f"x{number}", "double", tuple(Quantiles.of(values).at(RANKS).tolist()))
