"""A history of a few hundred days, and a trainer that learns in no time: the mean label of its rows, by weight."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from flywheel.statistics import Floats
from flywheel.usecase import Data, Evaluate, Label, Source, UseCase
from monitoring.backtest.history import DAY, MICROSECOND, History, micros
from monitoring.backtest.trainer import Fit

START = datetime(2013, 1, 1)
DELAY = timedelta(days=1)
ROWS = 40  # a day


def use_case(**monitor: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "late",
            "data": Data(
                source=Source(kind="python", path="source.py"),
                event_time="time",
                label=Label(column="late", available_after=DELAY),
            ),
            "monitor": monitor,
            "evaluate": Evaluate.model_validate({"costs": {"false_positive": 1, "false_negative": 3}}),
        }
    )


def history(shares: Sequence[float], seed: int = 3) -> History:
    """Return ROWS labels a day, of which on each day that share is 1."""
    random = np.random.default_rng(seed)
    time = micros(START) + np.arange(len(shares) * ROWS) * (DAY // MICROSECOND) // ROWS
    label = (random.random(len(time)) < np.repeat(shares, ROWS)).astype(np.float64)
    return History(time, label, DELAY, "binary", "sha256:test")


class ShareTrainer:
    """Predicts for every row the weighted mean, or the shares of classes, of its rows; keeps what it is asked."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.fits: list[Fit] = []

    def tune(self, stop: int, validation: tuple[int, int]) -> tuple[str, dict[str, Any]]:
        return "share", {"trees": 1}

    def fit(self, fit: Fit, output: Path) -> None:
        self.fits.append(fit)
        label, time = (values[slice(*fit.rows)] for values in (self.history.label, self.history.time))
        weight = np.ones(len(label))
        if fit.half_life is not None:
            weight = np.exp2(-(time[-1] - time) / fit.half_life)
        rows = fit.predict[1] - fit.predict[0]
        if self.history.task == "multiclass":
            shares = np.bincount(label.astype(np.int64), weights=weight, minlength=3) / weight.sum()
            np.save(output, np.tile(np.clip(shares, 0.01, 0.99), (rows, 1)))
            return
        share: Floats = np.full(rows, float((weight * label).sum() / weight.sum()))
        np.save(output, share if self.history.task == "regression" else np.clip(share, 0.01, 0.99))
