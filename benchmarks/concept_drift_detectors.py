"""Who judges the streams: Flywheel's test and detectors of river, all of which learn the usual rate themselves."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from river import drift

from flywheel.statistics import Floats
from monitoring.concept.effects import Plan
from monitoring.concept.losses import LossTest

OURS, ADWIN = "Flywheel", "ADWIN"
PLAN = Plan(bounds=(0.0, 1.0), name="error rate")  # the defaults: one false alarm in 7.5 million labels


class Detector(Protocol):
    """Sees a stream once, in parts; after an alarm it goes on."""

    def alarms(self, losses: Floats) -> list[int]:
        """Return how many losses of this part had been seen at each alarm."""
        ...


class Ours:
    """Flywheel's test."""

    def __init__(self, plan: Plan = PLAN) -> None:
        """Begin."""
        self._test, self._seen = LossTest(plan), 0

    def alarms(self, losses: Floats) -> list[int]:
        """Judge a part."""
        found = [finding.at - self._seen for finding in self._test.observe(losses)]
        self._seen += len(losses)
        return found


class River:
    """One of river's detectors with its defaults; it resets itself after an alarm."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """Begin."""
        self._detector: Any = make()

    def alarms(self, losses: Floats) -> list[int]:
        """Judge a part."""
        found = []
        for number, loss in enumerate(losses.tolist(), start=1):
            self._detector.update(loss)
            if self._detector.drift_detected:
                found.append(number)
        return found


DETECTORS: dict[str, Callable[[], Detector]] = {OURS: Ours, ADWIN: lambda: River(drift.ADWIN)}
OTHERS: dict[str, Callable[[], Detector]] = {
    "HDDM_A": lambda: River(drift.binary.HDDMA),
    "Page-Hinkley": lambda: River(drift.PageHinkley),
}


def first(alarms: Iterable[int]) -> float:
    """Return the first of them, infinity without any."""
    return float(next(iter(alarms), math.inf))
