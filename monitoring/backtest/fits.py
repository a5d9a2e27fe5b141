"""Fits that were made, kept below a folder by what they depend on: a replay that was killed goes on where it was."""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from flywheel.errors import IntegrityError
from flywheel.statistics import Floats
from monitoring.backtest.trainer import Fit, Trainer


class Fits:
    """Predictions of fits, made once each, whoever asks; several threads may ask at once.

    Args:
        trainer: Who fits what is not there.
        folder: Where results are kept.
        history: Digest of the rows.
        told: Called after each fit with whether it was made now.
    """

    def __init__(
        self, trainer: Trainer, folder: Path, history: str, told: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._trainer, self._folder, self._history, self._told = trainer, folder, history, told
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def predictions(self, fit: Fit) -> Floats:
        """Return the predictions of a fit for the rows that it is asked about, (n_rows,) or (n_rows, n_classes).

        Raises:
            FlywheelError: It cannot be made.
        """
        path = self._folder / f"{self.key(fit)}.npy"
        with self._guard:
            lock = self._locks[path.name]
        with lock:  # two policies that train alike at the same time make one fit
            is_new = not path.is_file()
            if is_new:
                self._trainer.fit(fit, path)
            found = _read(path, fit)
        self._told(is_new)
        return found

    def key(self, fit: Fit) -> str:
        """Return the digest of everything the predictions depend on."""
        said = json.dumps({"history": self._history, **fit.request()}, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:32]


def _read(path: Path, fit: Fit) -> Floats:
    try:
        found = np.load(path)
    except (OSError, ValueError) as fault:
        raise IntegrityError(f"The kept fit {path} cannot be read: {fault}. Delete it and start again.") from fault
    rows = fit.predict[1] - fit.predict[0]
    if len(found) != rows:
        raise IntegrityError(f"The kept fit {path} holds {len(found):,} rows instead of {rows:,}. Delete it.")
    return np.asarray(found, dtype=np.float64)
