"""A labelled history in order of time, and what of it is known when; nothing else in the backtest tells the time."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flywheel.errors import IntegrityError
from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Task

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
Times = npt.NDArray[np.int64]


def micros(moment: datetime) -> int:
    """Return a naive UTC time as microseconds since 1970."""
    return (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND


def moment(value: int) -> datetime:
    """Return the naive UTC time of microseconds since 1970."""
    return datetime(1970, 1, 1) + int(value) * MICROSECOND


@dataclass(frozen=True)
class History:
    """All labelled rows.

    Attributes:
        time: (n_rows,) event times in microseconds since 1970, rising.
        label: (n_rows,) 0 or 1, codes of classes, or numbers.
        delay: How long after its event a label is known.
        task: What is predicted.
        digest: Of rows, features and labels: results kept of another history are not these.
    """

    time: Times
    label: Floats
    delay: timedelta
    task: Task
    digest: str

    def place(self, at: datetime) -> int:
        """Return the place of the first row whose event is at a time or later."""
        return int(np.searchsorted(self.time, micros(at), side="left"))

    def known(self, at: datetime) -> int:
        """Return how many rows have a label that is known at a time: those before that place, and no others."""
        return int(np.searchsorted(self.time, micros(at - self.delay), side="right"))

    def losses(self, start: int, prediction: Floats) -> Floats:
        """Return the losses of the rows from `start` on for which there are predictions, (n_predictions,)."""
        return row_losses(self.task, self.label[start : start + len(prediction)], prediction)

    @property
    def day(self) -> Times:
        """Days of the events since 1970, (n_rows,)."""
        return self.time // (DAY // MICROSECOND)


def open_history(folder: Path, delay: timedelta) -> History:
    """Open what training encoded: plain arrays and a document, as `training/data/dataset.py` describes.

    Raises:
        IntegrityError: They are not there, or not whole.
    """
    try:
        document = json.loads((folder / "dataset.json").read_text())
        time, label = np.load(folder / "time.npy"), np.load(folder / "label.npy")
    except (OSError, ValueError) as fault:
        raise IntegrityError(f"The encoded history in {folder} cannot be read: {fault}. Delete the folder.") from fault
    return History(time, label, delay, document["task"], document["digest"])
