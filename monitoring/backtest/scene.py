"""What every policy is given alike, and what comes of one."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from flywheel.errors import UsageError
from flywheel.monitor_spec import Retrain
from flywheel.statistics import Floats
from flywheel.usecase import UseCase
from monitoring.backtest.fits import Fits
from monitoring.backtest.history import DAY, MICROSECOND, History, moment
from monitoring.backtest.policies import Policy
from monitoring.backtest.trainer import Fit
from monitoring.retraining.evidence import Looked
from monitoring.retraining.policy import RetrainDecision
from monitoring.retraining.rows import RowWindow, choose_rows, daily_means


@dataclass(frozen=True)
class Scene:
    """A history, and how versions are trained on it.

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

    def rows(self, retrain: Retrain, now: datetime) -> RowWindow:
        """Choose the history that a training as of now gets, by a policy and then by the use case's own `train`."""
        window, train = self._chosen(retrain, now), self.use_case.train
        start = window.start or (None if train.window is None else now - train.window)
        return replace(window, start=start, half_life=window.half_life or train.half_life)

    def fit(self, window: RowWindow, known: int, predict: tuple[int, int]) -> Floats:
        """Fit the rows of a window that lie before `known`, and return predictions for others.

        Raises:
            UsageError: There is no row.
        """
        start = 0 if window.start is None else self.history.place(window.start)
        if start >= known:
            raise UsageError(f"No label is known of {window.sentence}. Choose a longer history, or a later --from.")
        half_life = None if window.half_life is None else window.half_life // MICROSECOND
        return self.fits.predictions(Fit(self.family, self.params, (start, known), predict, half_life))

    def _chosen(self, retrain: Retrain, now: datetime) -> RowWindow:
        history = self.history
        # Codes of classes have no mean that could change: then the history has no change either.
        if retrain.rows != "change_point" or history.task == "multiclass":
            return choose_rows(retrain, now, now, np.empty(0))
        known = history.known(now)
        day = history.day[:known]
        first = moment(int(day[0]) * (DAY // MICROSECOND))
        return choose_rows(retrain, now, first, daily_means(history.label[:known], day))


@dataclass(frozen=True)
class Training:
    """One training: as of when, why, and on which rows."""

    as_of: datetime
    reason: str
    rows: str


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
