"""The versions that answer together: one, or an ensemble whose weights follow what is known of their losses."""

import numpy as np

from flywheel.statistics import Floats
from monitoring.backtest.history import History
from monitoring.backtest.policies import Ensemble
from monitoring.retraining.ensemble import joined, mixed, updated


class Members:
    """Newest versions with their weights.

    Weights move only when a version joins: a package that holds them all is made then, and serves unchanged until the
    next.

    Args:
        history: Whose labels tell the losses.
        ensemble: None: the newest answers alone.
    """

    def __init__(self, history: History, ensemble: Ensemble | None) -> None:
        self._history = history
        self._ensemble = ensemble or Ensemble(members=1, newcomer=1.0, is_adaptive=False)
        self._weights: Floats = np.empty(0)
        self._predictions: list[tuple[int, Floats]] = []  # of each member: place of its first row, and from there on
        self._learned = 0  # losses of rows before it are in the weights

    def join(self, prediction: Floats, place: int, known: int) -> Floats:
        """Add the newest version, and return what all of them answer from its first row on.

        Args:
            prediction: Of the newest, for the rows from `place` on.
            place: Its first row.
            known: Labels of rows before it are known.
        """
        if not self._predictions:
            self._learned = place
        elif self._ensemble.is_adaptive:
            self._learn(known)
        self._weights = joined(self._weights, self._ensemble.newcomer, self._ensemble.members)
        kept = [*self._predictions, (place, prediction)][-len(self._weights) :]
        self._predictions = kept
        return mixed(np.stack([one[place - first :] for first, one in kept]), self._weights)

    def _learn(self, known: int) -> None:
        """Fold the losses of each day that is known and was not yet, into the weights."""
        day = self._history.day
        while self._learned < known:
            stop = min(int(np.searchsorted(day, day[self._learned], side="right")), known)
            losses = [self._loss(first, one, self._learned, stop) for first, one in self._predictions]
            self._weights = updated(self._weights, np.array(losses))
            self._learned = stop

    def _loss(self, first: int, prediction: Floats, start: int, stop: int) -> float:
        """Return the sum of a member's losses; NaN where it was not there yet."""
        if start < first:
            return float("nan")
        return float(self._history.losses(start, prediction[start - first : stop - first]).sum())
