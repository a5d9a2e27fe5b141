"""Windows of a replay, judged by the function that judges live ones, against references measured as training does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.profile import Reference
from flywheel.statistics import Floats, clustered_error
from monitoring.backtest.history import moment
from monitoring.backtest.scene import Scene
from monitoring.performance.harm import Tolerance, against_reference, decide
from monitoring.performance.measure import MEASURES
from monitoring.retraining.evidence import Looked
from monitoring.retraining.rows import RowWindow


@dataclass(frozen=True)
class Answered:
    """Rows that were answered, from the place `first` on: (n_rows,) or (n_rows, n_classes), and by which version."""

    first: int
    prediction: Floats
    version: npt.NDArray[np.int64]


def reference(scene: Scene, window: RowWindow, now: datetime) -> Reference:
    """Measure a fit on the newest known rows, which it does not know: as training does before its last fit."""
    history, train = scene.history, scene.use_case.train
    known = history.known(now)
    cut = moment(int(history.time[known - 1])) - (train.test or train.validation)
    held = history.place(cut)
    losses = history.losses(held, scene.fit(window, history.known(cut), (held, known)))
    place = history.day[held:known] - history.day[held]
    rows, totals = np.bincount(place), np.bincount(place, weights=losses).astype(np.float64)
    error = clustered_error(totals[rows > 0], rows[rows > 0])
    name = MEASURES[history.task].name
    return Reference(loss_name=name, loss=float(losses.mean()), standard_error=error, rows=len(losses))


def judged(
    scene: Scene,
    answered: Answered,
    references: Mapping[str, Reference],
    span: tuple[datetime, datetime, datetime],
    *,
    margin: float,
) -> Looked:
    """Judge a window by the labels known at a time.

    Args:
        scene: Its use case says the least number of outcomes.
        answered: Holds the rows of the window.
        references: Of each version among them, by its number.
        span: Start and end of the window, and when it is looked at.
        margin: That is tolerated.
    """
    start, end, now = span
    history, monitor = scene.history, scene.use_case.monitor
    begin, stop = history.place(start), min(history.place(end), history.known(now))
    own = slice(begin - answered.first, stop - answered.first)
    prediction = answered.prediction[own]
    labelled = pl.DataFrame(
        {
            "event_time": pl.Series(history.time[begin:stop]).cast(pl.Datetime("us")),
            "model_version": answered.version[own].astype(str),
            "prediction": prediction if prediction.ndim == 1 else prediction.argmax(axis=1).astype(str),
            "outcome": history.label[begin:stop],
            "loss": history.losses(begin, prediction),
        },
        schema_overrides={"model_version": pl.String},
    )
    tolerance = Tolerance(margin, monitor.min_outcomes, MEASURES[history.task])
    found = decide(against_reference(labelled, references), references, tolerance)
    numbers = found.numbers
    return Looked(start, end, now, found.verdict.value, "realised", numbers.loss, numbers.difference_low)
