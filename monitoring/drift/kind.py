"""The watch over the streams of one kind: forecast, scores, bets."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats
from monitoring.drift.evidence import SLOPE_WEIGHTS, Detectors, Strongest
from monitoring.drift.relearning import Relearning
from monitoring.drift.streams import Kind, Stream
from monitoring.drift.tails import Views
from monitoring.drift.whitening import Belief, Whitener, learned_prior

TRUSTED = 120  # blocks of a reference, the newest, whose surprises tell how heavy tails are
EARLY = 3  # the first third of a reference only teaches
# The evidence of a kind is split between sources: one prediction counts for as much as half of all inputs.
SOURCE_WEIGHTS = {"input": 2.0, "prediction": 1.0, "outcome": 1.0}
# What never varied in the reference, such as of a column without missing values, needs little to stand out.
CONSTANT = 0.25
VIEW_WEIGHTS = np.array([0.3, 0.7])  # of a stream alone, and of what is left of it without the others
GREATEST_LOG = 600.0  # beyond it an e-value is no number any more


@dataclass(frozen=True)
class History:
    """The blocks of a reference for one kind: `values` (n_blocks, n_streams), `designs` (n_blocks, n_terms).

    `noise` (n_blocks,) is the sampling variance of each block over that of a usual one, `gaps` (n_blocks,) how many
    blocks had no rows before it, `floor` (n_streams,) the sampling variance in a usual block.
    """

    values: Floats
    designs: Floats
    noise: Floats
    gaps: npt.NDArray[np.int64]
    floor: Floats


@dataclass
class KindWatch:
    """What was learned of one kind, and what is bet on it.

    Args:
        kind: Which.
        streams: What is followed.
        whitener: The forecast.
        log_prior: How the grid is believed before a stream has shown anything, (n_grid,).
        views: Tails, and what streams share.
        level: What is subtracted from values: the reference's mean, and what has moved since, (n_streams,).
        least: Smaller shifts never alarm, in units of the stream, (n_streams,).
        detectors: The bets.
        moved: What has moved, and is learned anew.
    """

    kind: Kind
    streams: tuple[Stream, ...]
    whitener: Whitener
    log_prior: Floats
    views: Views
    level: Floats
    least: Floats
    detectors: Detectors
    moved: Relearning

    @classmethod
    def learn(cls, kind: Kind, streams: tuple[Stream, ...], history: History, variances: Floats, least: float) -> Self:
        """Learn from a reference; `variances` are those of the calendar's terms, `least` the least effect."""
        present = np.isfinite(history.values)
        level = np.where(present, history.values, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        seen = int((history.designs != 0).any(axis=0).sum())
        whitener = Whitener(variances, history.floor, seen)
        beliefs = _beliefs(whitener, history, level)
        # A stream that never varies, such as of values that are never missing, tells nothing of days.
        varying = np.ptp(np.where(present, history.values, level), axis=0) > 0
        importance = weights_of(streams, varying) * (varying if varying.any() else 1.0)
        log_prior = learned_prior(whitener, importance / importance.sum())
        forecasts = [belief.forecast(log_prior) for belief in beliefs]
        scores = np.array([forecast.score for forecast in forecasts])
        lasting = np.mean([forecast.lasting for forecast in forecasts[-len(forecasts) // 2 :]], axis=0)
        units = np.array([stream.unit for stream in streams])
        return cls(
            kind,
            streams,
            whitener,
            log_prior,
            Views.of(scores, numbers_of_columns(streams)),
            level,
            least * units,
            Detectors.idle(lasting, 2),
            Relearning.of(len(streams)),
        )

    def __post_init__(self) -> None:
        self.weights = weights_of(self.streams, self.views.varying)

    @property
    def terms(self) -> int:
        """How many of the calendar's terms, the first ones, its forecast has."""
        return self.whitener.state.shape[2] - 1

    def take(self, values: Floats, design: Floats, noise: float) -> None:
        """Hold the next block's values (n_streams,) against what was expected, and bet."""
        forecast = self.whitener.step(values - self.level, design, noise).forecast(self.log_prior)
        looked = self.views.look(forecast, self.moved.learning)
        self.detectors.step(looked)
        self.detectors.rest(self.moved.learning)
        for stream, shift, age in self.moved.step(looked):
            self.level[stream] += shift
            self.whitener.settle(stream, shift, age)

    def e_values(self) -> Floats:
        """Return each stream's evidence, (n_streams,): nothing from detectors whose shift is below the least effect."""
        e_values = np.where(self._large, np.exp(np.minimum(self.detectors.log_evidence(), GREATEST_LOG)), 0.0)
        return np.asarray(e_values @ SLOPE_WEIGHTS @ VIEW_WEIGHTS)

    @property
    def _large(self) -> npt.NDArray[np.bool_]:
        return np.asarray(np.abs(self.detectors.effects()) >= self.least[:, None, None])

    def e_value(self) -> float:
        """Return the evidence of all streams together."""
        return float(self.weights @ self.e_values())

    def strongest(self) -> Strongest:
        """Return what the best detector of each stream has found."""
        found, rows = self.detectors, np.arange(len(self.streams))
        log_sum = np.where(self._large, found.log_evidence(), -np.inf).reshape(len(rows), -1)
        best = log_sum.argmax(axis=1)
        with np.errstate(divide="ignore"):
            error = 1 / np.sqrt(found.certain.reshape(len(rows), -1)[rows, best])
            evidence = np.log(self.e_values())
        effect = found.effects().reshape(len(rows), -1)[rows, best]
        return Strongest(evidence, effect, error, found.age.reshape(len(rows), -1)[rows, best])

    def settle(self, moved: Sequence[Stream], columns: Container[str]) -> None:
        """Learn streams that moved anew, and begin the bets on all streams of these columns anew."""
        self.moved.begin([number for number, stream in enumerate(self.streams) if stream in moved], self.strongest())
        begun = [stream.column in columns or stream.detail in columns for stream in self.streams]
        self.detectors.rest(np.array(begun))

    def begin_anew(self) -> None:
        """Learn every stream's level from the next blocks, whatever it was."""
        self.moved.begin_anew()


def numbers_of_columns(streams: Sequence[Stream]) -> npt.NDArray[np.int64]:
    """Return the number of each stream's column, (n_streams,); correlations are of two, and each is its own."""
    if any(stream.kind is Kind.TOGETHER for stream in streams):
        return np.arange(len(streams))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(stream.column for stream in streams))}
    return np.array([numbers[stream.column] for stream in streams])


def weights_of(streams: Sequence[Stream], varying: npt.NDArray[np.bool_]) -> Floats:
    """Return each stream's part of its kind's evidence, (n_streams,), together 1, from which have ever varied."""
    own, sources = np.where(varying, 1.0, CONSTANT), np.array([stream.source for stream in streams])
    parts = np.zeros(len(streams))
    for source in np.unique(sources):
        among = sources == source
        parts[among] = SOURCE_WEIGHTS[source] * own[among] / own[among].sum()
    return np.asarray(parts / parts.sum())


def _beliefs(whitener: Whitener, history: History, level: Floats) -> list[Belief]:
    blocks = len(history.values)
    late, beliefs = max(blocks // EARLY, blocks - TRUSTED), []
    for number in range(blocks):
        for _ in range(history.gaps[number]):
            whitener.pass_time()
        belief = whitener.step(history.values[number] - level, history.designs[number], float(history.noise[number]))
        if number >= late:
            beliefs.append(belief)
    return beliefs
