"""A correction of a version's level between trainings, from the labels that became known since: one number a day.

Days deviate together: what was missed on a day with many late flights is still half missed two days later. The
correction is a shift on the scale of the canonical link (log-odds for probabilities, the value itself for numbers),
by one Newton step from no shift of the likelihood whose days are weighted by their age, with a prior of days on which
nothing deviated (a normal prior of the shift: West, Harrison and Migon 1985, Dynamic generalized linear models and
Bayesian forecasting, JASA 80, discount their information in the same way).

The backtest and the look that writes what agents serve call the same two functions.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import numpy as np
import numpy.typing as npt

from flywheel.errors import UsageError
from flywheel.monitor_spec import Recalibrate
from flywheel.recalibration import LEAST, MOST, moved
from flywheel.statistics import Floats
from flywheel.usecase import Task

Ages = npt.NDArray[np.int64]
HORIZON = 10  # half-lives
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Recalibration:
    """How fast a correction follows, and how much it is held back.

    Attributes:
        half_life: Days after which a day's deviation counts half.
        prior_days: Days without any deviation that are counted along with the known ones.
        most: The greatest shift either way.
    """

    half_life: float = 2.0
    prior_days: float = 7.0
    most: float = math.inf

    @classmethod
    def of(cls, said: Recalibrate) -> Self:
        """Return what a use case says."""
        return cls(said.half_life / DAY, said.prior_days, said.most)

    @property
    def reach(self) -> timedelta:
        """How far back rows count; what is older weighs less than a thousandth."""
        return HORIZON * self.half_life * DAY


def shift(label: Floats, prediction: Floats, age: Ages, how: Recalibration, *, task: Task) -> float:
    """Return the shift on the link's scale that the known rows speak for; 0 without rows.

    Args:
        label: (n_rows,) 0 or 1, or numbers.
        prediction: (n_rows,) of the version, without any correction: probabilities of 1, or numbers.
        age: (n_rows,) whole days since the row's day; must not be negative.
        how: Half-life and prior.
        task: Binary or regression.
    """
    if not len(label):
        return 0.0
    rows = prediction * (1 - prediction) if task == "binary" else np.ones_like(prediction)
    residual = np.bincount(age, weights=label - prediction)
    information = np.bincount(age, weights=rows)
    days = np.flatnonzero(np.bincount(age))
    weight = np.exp2(-(days - days[0]) / how.half_life)  # the newest known day counts whole
    total = float(weight @ information[days])
    # The prior's days are as large as the known ones are on average.
    prior = how.prior_days * total / float(weight.sum())
    spoken = float(weight @ residual[days]) / max(total + prior, 1e-12)
    return min(max(spoken, -how.most), how.most)


def shifted(prediction: Floats, by: float, task: Task) -> Floats:
    """Return predictions moved on the link's scale, (n_rows,).

    Raises:
        UsageError: There are several classes, whose level is no single number.
    """
    if task == "multiclass":
        raise UsageError("A recalibration moves one number, and several classes have more. Choose another policy.")
    if task == "regression":
        return prediction + by
    return moved(np.clip(prediction, LEAST, MOST), math.exp(-by))
