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
    """

    day: int = 100
    mean: float = 0.0
    spread: float = 1.0
    missing: float | None = None
    new: float = 0.0
    columns: int = 1


@dataclass(frozen=True)
class Drawn:
    """The rows of a day range: `numbers` (n_columns, n_rows) NaN where missing, `codes` (n_named, n_rows)."""

    numbers: Floats
    codes: npt.NDArray[np.int64]


@dataclass
class Draw:
    """Draws the days of one world in their order, with what is shifted."""

    world: World
    shift: Shift
    seed: int
    effects: Floats = field(init=False)
    sizes: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng([self.seed, self.world.columns, round(100 * self.world.rho)])
        world, days = self.world, self.world.reference + self.world.live
        self.named = world.columns // EVERY_CATEGORY
        self.numeric = world.columns - self.named
        own = self._lasting((days, world.columns))
        together = self._lasting((days, 1))
        season = SEASON * self.generator.normal(size=(7, world.columns))
        effect = np.sqrt(SHARED) * together + np.sqrt(1 - SHARED) * own + season[np.arange(days) % 7]
        self.effects = np.sqrt(world.rho) * effect
        self.sizes = np.full(days, world.rows)
        if world.uneven:
            self.sizes = np.rint(world.rows * 5 ** self.generator.uniform(-1, 1, days)).astype(np.int64)

    def day(self, number: int) -> Drawn:
        """Draw the rows of one day, from 0; days are drawn in their order."""
        world, shift, rows = self.world, self.shift, int(self.sizes[number])
        inside = np.sqrt(1 - world.rho)
        latent = self.generator.standard_normal((world.columns, rows))
        if world.correlation:
            common = self.generator.standard_normal(rows)
            latent[: self.numeric] *= np.sqrt(1 - world.correlation)
            latent[: self.numeric] += np.sqrt(world.correlation) * common
        latent *= inside
        latent += self.effects[number][:, None]
        shifted = number - world.reference >= shift.day
        if shifted:
            latent[: shift.columns] *= shift.spread
            latent[: shift.columns] += shift.mean
        numbers = latent[: self.numeric]
        codes = np.searchsorted(CUTS, latent[self.numeric :])
        for column in range(0, self.numeric, EVERY_MISSING):
            share = shift.missing if shifted and column == 0 and shift.missing is not None else MISSING
            numbers[column, : self.generator.binomial(rows, share)] = np.nan
        if shifted and shift.new:
            codes[0, : self.generator.binomial(rows, shift.new)] = len(SHARES)
        return Drawn(numbers, codes)

    def _lasting(self, shape: tuple[int, int]) -> Floats:
        phi, generator = self.world.phi, self.generator
        pushes = generator.standard_t(4, shape) / np.sqrt(2) if self.world.heavy else generator.normal(size=shape)
        for day in range(1, shape[0]):
            pushes[day] = phi * pushes[day - 1] + np.sqrt(1 - phi**2) * pushes[day]
        return np.asarray(pushes)


CUTS = np.array([0.0, 0.8416, 1.5548, 2.0537, 2.5758])  # normal quantiles of the sums of SHARES
VOCABULARY = ("a", "b", "c", "d", "e", "f")
SCALE_ROWS = 20_000  # of each column make the scale: any ruler measures, if it is the same before and after


def series_of(world: World, shift: Shift, seed: int) -> tuple[Series, Iterator[tuple[Block, Drawn]]]:
    """Draw a reference's series, and blocks one by one with their rows, for those who judge rows.

    The blocks' sketches hold no quantiles: no decision reads them.
    """
    scale = _scale(world, shift, seed)
    draw = Draw(world, shift, seed)
    blocks = tuple(block_of(draw.day(day), day, scale) for day in range(world.reference))
    days = range(world.reference, world.reference + world.live)
    return Series(scale, DAY, blocks), ((block_of(drawn := draw.day(day), day, scale), drawn) for day in days)


def block_of(drawn: Drawn, day: int, scale: Scale) -> Block:
    """Profile one day's rows as `flywheel.profiling.profile` does, without sketches of quantiles."""
    rows = drawn.numbers.shape[1]
    columns: dict[str, ColumnSketch] = {}
    paired = scale.paired
    numbers, stepped = {}, np.zeros((min(rows, PAIRED_ROWS), len(paired)))
    for number, column in enumerate(scale.numeric):
        values = drawn.numbers[number]
        there = ~np.isnan(values)
        places = place(values, column.quantiles)
        numbers[column.name] = NumberScores.of(places[there])
        if number < len(paired):
            first = places[: len(stepped)]
            stepped[:, number] = np.where(there[: len(stepped)], STEPPED[np.minimum(first, PLACES - 1)], 0.0)
        columns[column.name] = ColumnSketch(column.name, column.type, rows, rows - int(there.sum()))
    categories = {}
    for number, column in enumerate(scale.named):
        counts = np.bincount(drawn.codes[number], minlength=len(SHARES) + 1)
        categories[column.name] = CategoryScores(counts[:-1], int(counts[-1]))
        columns[column.name] = ColumnSketch(column.name, column.type, rows, 0)
    start = BEGIN + DAY * day
    return Block(start, start + DAY, rows, columns, numbers, categories, Together.of(paired, stepped))


def _scale(world: World, shift: Shift, seed: int) -> Scale:
    draw, numbers, rows = Draw(world, shift, seed), list[Floats](), 0
    step = max(world.reference * world.rows // SCALE_ROWS, 1)
    for day in range(world.reference):
        drawn = draw.day(day)
        numbers.append(drawn.numbers[:, ::step])
        rows += numbers[-1].shape[1]
    joined = np.concatenate(numbers, axis=1)
    scaled = [_numeric(number, values[~np.isnan(values)]) for number, values in enumerate(joined)]
    named = [ColumnScale(f"c{number}", "string", vocabulary=VOCABULARY) for number in range(draw.named)]
    return Scale((*scaled, *named))


def _numeric(number: int, values: Floats) -> ColumnScale:
    return ColumnScale(f"x{number}", "double", tuple(Quantiles.of(values).at(RANKS).tolist()))
