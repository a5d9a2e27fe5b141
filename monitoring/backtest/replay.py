"""One policy lived through a history: looks by the day, decided by the policy that runs live, known labels only.

What is known at a look are the rows before `History.known`; versions answer from the moment they are trained. The
first version is trained as of the beginning, whatever the policy.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.errors import UsageError
from flywheel.profile import Reference
from flywheel.statistics import Floats, clustered_error
from flywheel.usecase import UseCase
from monitoring.backtest.fits import Fits
from monitoring.backtest.history import DAY, MICROSECOND, History, micros, moment
from monitoring.backtest.members import Members
from monitoring.backtest.policies import Policy
from monitoring.backtest.trainer import Fit
from monitoring.performance.harm import Tolerance, against_reference
from monitoring.performance.harm import decide as judge
from monitoring.performance.measure import MEASURES
from monitoring.retraining.evidence import Attempt, End, Evidence, Looked
from monitoring.retraining.policy import RetrainDecision, decide
from monitoring.retraining.recalibration import HORIZON, shift, shifted
from monitoring.retraining.rows import RowWindow, choose_rows, daily_means


@dataclass(frozen=True)
class Scene:
    """What every policy is given alike.

    Attributes:
        history: The rows.
        use_case: Windows, validation, margin.
        begin: The first version is trained as of it; `end` is where the history stops being replayed.
        family: Of all fits, with the same `params`.
        fits: Makes them.
    """

    history: History
    use_case: UseCase
    begin: datetime
    end: datetime
    family: str
    params: dict[str, Any]
    fits: Fits


@dataclass(frozen=True)
class Training:
    """One training: as of when, why, on which rows, and how many there were."""

    as_of: datetime
    reason: str
    rows: str
    count: int


@dataclass(frozen=True)
class Replayed:
    """What came of a policy.

    Attributes:
        policy: Which.
        prediction: Of each row from the beginning to the end, (n_rows,) or (n_rows, n_classes).
        trainings: In order; the first is the one that every policy has.
        windows: That were judged.
        decisions: Of each look that was news.
    """

    policy: Policy
    prediction: Floats
    trainings: tuple[Training, ...]
    windows: tuple[Looked, ...]
    decisions: tuple[RetrainDecision, ...]

    @property
    def retrainings(self) -> tuple[Training, ...]:
        """All but the first."""
        return self.trainings[1:]


def replay(scene: Scene, policy: Policy) -> Replayed:
    """Live a policy through the history.

    Raises:
        FlywheelError: A fit fails.
    """
    life = _Life(scene, policy)
    life.train(scene.begin, "first", 0)
    decisions = []
    now = scene.begin + DAY
    while now < scene.end:
        decision = life.look(now)
        if decision.start:
            life.train(now, str(decision.reason), len(life.trainings))
        life.recalibrate(now)
        if decision.is_news:
            decisions.append(decision)
        now += DAY
    return Replayed(policy, life.prediction, tuple(life.trainings), tuple(life.windows), tuple(decisions))


@dataclass
class _Life:
    """The state of one replay; `first` is the place of the first row that is answered, `last` the one behind them."""

    scene: Scene
    policy: Policy
    trainings: list[Training] = field(default_factory=list)
    windows: list[Looked] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    references: dict[str, Reference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        history, scene = self.scene.history, self.scene
        self.first, self.last = history.place(scene.begin), history.place(scene.end)
        self.members = Members(history, self.policy.ensemble)
        self.prediction: Floats = np.empty(0)  # as answered; `raw` is what the versions say
        self.raw: Floats = np.empty(0)
        self.version: npt.NDArray[np.int64] = np.zeros(self.last - self.first, dtype=np.int64)
        self.judged_until = scene.begin

    def look(self, now: datetime) -> RetrainDecision:
        """Judge the window that is due, and decide."""
        if self.policy.watches_harm:
            self._judge_due(now)
        history, trained = self.scene.history, self.trainings[-1].as_of
        new = history.known(now) - history.known(trained)
        evidence = Evidence(now, tuple(self.windows), tuple(self.attempts), trained, new)
        return decide(evidence, self.policy.retrain)

    def train(self, now: datetime, reason: str, number: int) -> None:
        """Train a version as of now; from now on it answers."""
        history, policy = self.scene.history, self.policy
        known, place = history.known(now), history.place(now)
        window = self._rows(now, number)
        start = 0 if window.start is None else history.place(window.start)
        made = self._fit((start, known), (place, self.last), window)
        mixed = self.members.join(made, place, known)
        if number == 0:
            self.raw = np.empty((self.last - self.first, *made.shape[1:]))
            self.prediction = self.raw.copy()
        else:
            self.attempts.append(Attempt(now, End.REGISTERED))
        self.raw[place - self.first :] = mixed
        self.prediction[place - self.first :] = mixed
        self.version[place - self.first :] = number
        if policy.watches_harm:
            self.references[str(number)] = self._reference(start, now, window)
        self.trainings.append(Training(now, reason, window.sentence, known - start))

    def recalibrate(self, now: datetime) -> None:
        """Move the answers of the day that begins now by what is known of the days before."""
        how, history = self.policy.recalibration, self.scene.history
        if how is None:
            return
        begin, known = max(self.first, history.place(now - HORIZON * how.half_life * DAY)), history.known(now)
        label, raw = history.label[begin:known], self.raw[begin - self.first : known - self.first]
        newest = micros(now) // (DAY // MICROSECOND)
        by = shift(label, raw, newest - history.day[begin:known], how, task=history.task)
        own = slice(history.place(now) - self.first, min(history.place(now + DAY), self.last) - self.first)
        self.prediction[own] = shifted(self.raw[own], by, history.task)

    def _rows(self, now: datetime, number: int) -> RowWindow:
        history, retrain = self.scene.history, self.policy.rows_of(number)
        if retrain.rows != "change_point":
            return self._own(choose_rows(retrain, now, now, np.empty(0)), now)
        if history.task == "multiclass":
            raise UsageError("Rows since the last change of the label need one with a mean, and classes have none.")
        known = history.known(now)
        day = history.day[:known]
        first = moment(int(day[0]) * (DAY // MICROSECOND))
        return self._own(choose_rows(retrain, now, first, daily_means(history.label[:known], day)), now)

    def _own(self, window: RowWindow, now: datetime) -> RowWindow:
        """Take what the use case says itself where the policy says nothing, as training does."""
        train = self.scene.use_case.train
        start = window.start or (None if train.window is None else now - train.window)
        return replace(window, start=start, half_life=window.half_life or train.half_life)

    def _fit(self, rows: tuple[int, int], predict: tuple[int, int], window: RowWindow) -> Floats:
        half_life = None if window.half_life is None else window.half_life // MICROSECOND
        fit = Fit(self.scene.family, self.scene.params, rows, predict, half_life)
        return self.scene.fits.predictions(fit)

    def _reference(self, start: int, now: datetime, window: RowWindow) -> Reference:
        """Measure a fit on the newest known rows, which it does not know: as training does before its last fit."""
        history, known = self.scene.history, self.scene.history.known(now)
        train = self.scene.use_case.train
        cut = moment(int(history.time[known - 1])) - (train.test or train.validation)
        held = history.place(cut)
        prediction = self._fit((start, history.known(cut)), (held, known), window)
        losses, day = history.losses(held, prediction), history.day[held:known]
        totals = np.bincount(day - day[0], weights=losses).astype(np.float64)
        rows = np.bincount(day - day[0])
        error = clustered_error(totals[rows > 0], rows[rows > 0])
        name = MEASURES[history.task].name
        return Reference(loss_name=name, loss=float(losses.mean()), standard_error=error, rows=len(losses))

    def _judge_due(self, now: datetime) -> None:
        """Judge each window whose last labels are known by now; windows follow each other."""
        length, delay = self.scene.use_case.monitor.window, self.scene.history.delay
        while self.judged_until + length + delay <= now:
            self.windows.append(self._judge(self.judged_until, self.judged_until + length, now))
            self.judged_until += length

    def _judge(self, start: datetime, end: datetime, now: datetime) -> Looked:
        history, monitor = self.scene.history, self.scene.use_case.monitor
        begin, stop = history.place(start), min(history.place(end), history.known(now))
        own = slice(begin - self.first, stop - self.first)
        labelled = pl.DataFrame(
            {
                "event_time": pl.Series(history.time[begin:stop]).cast(pl.Datetime("us")),
                "model_version": self.version[own].astype(str),
                "prediction": _shown(self.prediction[own]),
                "outcome": history.label[begin:stop],
                "loss": history.losses(begin, self.prediction[own]),
            },
            schema_overrides={"model_version": pl.String},
        )
        tolerance = Tolerance(self.policy.retrain.margin, monitor.min_outcomes, MEASURES[history.task])
        found = judge(against_reference(labelled, self.references), self.references, tolerance)
        numbers = found.numbers
        return Looked(start, end, now, found.verdict.value, "realised", numbers.loss, numbers.difference_low)


def _shown(prediction: Floats) -> Floats:
    """Return one number a row: of several classes the commonest's code."""
    return prediction if prediction.ndim == 1 else prediction.argmax(axis=1).astype(np.float64)
