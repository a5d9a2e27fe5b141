"""One policy lived through a history: looks by the day, decided by the policy that runs live, known labels only.

What is known at a look are the rows before `History.known`; versions answer from the moment they are trained. The
first version is trained as of the beginning, whatever the policy.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.profile import Reference
from flywheel.statistics import Floats
from monitoring.backtest.history import DAY, MICROSECOND, micros
from monitoring.backtest.judging import Answered, judged, reference
from monitoring.backtest.members import Members
from monitoring.backtest.policies import Policy
from monitoring.backtest.scene import Replayed, Scene, Training
from monitoring.retraining.evidence import Attempt, End, Evidence, Looked
from monitoring.retraining.policy import RetrainDecision, decide
from monitoring.retraining.recalibration import shift, shifted
from monitoring.windows.grid import counted_windows


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
        window = self.scene.rows(policy.rows_of(number), now)
        made = self.scene.fit(window, known, (place, self.last))
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
            self.references[str(number)] = reference(self.scene, window, now)
        self.trainings.append(Training(now, reason, window.sentence))

    def recalibrate(self, now: datetime) -> None:
        """Move the answers of the day that begins now by what is known of the newest version's own, as a look does."""
        how, history = self.policy.recalibration, self.scene.history
        if how is None:
            return
        reach = history.place(max(now - how.reach, self.trainings[-1].as_of))
        begin, known = max(self.first, reach), history.known(now)
        if known - begin < self.scene.use_case.monitor.min_outcomes:
            return  # it answers as it was trained
        label, raw = history.label[begin:known], self.raw[begin - self.first : known - self.first]
        newest = micros(now) // (DAY // MICROSECOND)
        by = shift(label, raw, newest - history.day[begin:known], how, task=history.task)
        own = slice(history.place(now) - self.first, min(history.place(now + DAY), self.last) - self.first)
        self.prediction[own] = shifted(self.raw[own], by, history.task)

    def _judge_due(self, now: datetime) -> None:
        """Judge each window whose last labels are known by now; windows follow each other."""
        while (end := self._window_end()) is not None and end + self.scene.history.delay <= now:
            span = (self.judged_until, end, now)
            margin = self.policy.retrain.margin
            answered = Answered(self.first, self.prediction, self.version)
            self.windows.append(judged(self.scene, answered, self.references, span, margin=margin))
            self.judged_until = end

    def _window_end(self) -> datetime | None:
        """Return when the next window is over: after its time or its answers; None where so many never come."""
        history, monitor = self.scene.history, self.scene.use_case.monitor
        if monitor.window_rows is None:
            return self.judged_until + monitor.window
        times = pl.Series(history.time[history.place(self.judged_until) :]).cast(pl.Datetime("us"))
        spans = counted_windows(times, self.judged_until, monitor.window_rows)
        return spans[0][1] if spans else None
