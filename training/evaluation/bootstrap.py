"""Intervals by resampling days: rows of a day resemble each other, so that the day is the unit of evidence."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit  # 0.2 s; scipy.stats takes 1.7 s

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.evaluation.clusters import Clusters
from training.evaluation.measures import replicate
from training.evaluation.report import Interval, Resampling
from training.metrics import METRICS

LEVEL = 0.95
METHOD = "95 % percentile bootstrap, widened for few units (Hesterberg 2015)"


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of clusters, drawn once, so that whatever is measured on them can be compared pair by pair.

    `weights`, (n_resamples, n_clusters), says how often each cluster was drawn.
    """

    clusters: Clusters
    weights: Floats

    def scores(self, task: Task, label: Floats, prediction: Floats, *, only: tuple[str, ...] | None = None) -> "Scores":
        """Measure the metrics of the task, all or only some, on the rows and on every resample."""
        metrics = [metric for metric in METRICS[task] if only is None or metric.name in only]
        value = {metric.name: metric.measure(label, prediction) for metric in metrics}
        drawn = replicate(tuple(metrics), task, label, prediction, clusters=self.clusters, weights=self.weights)
        return Scores(value, drawn, self.clusters.count)

    def part(self, rows: npt.NDArray[np.int64]) -> "Bootstrap":
        """Keep only some rows, given by their indices (n_part,), with the same resamples."""
        clusters = self.clusters
        return Bootstrap(Clusters(clusters.code[rows], clusters.count, clusters.unit, clusters.note), self.weights)

    def mean(self, values: Floats) -> Interval:
        """Return the mean of values (n_rows,) and its interval."""
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = (self.weights @ self.clusters.sums(values)) / (self.weights @ self.clusters.rows)
        return interval(float(values.mean()) if len(values) else math.nan, drawn, self.clusters.count)

    def describe(self) -> Resampling:
        """Say how the intervals are made."""
        return Resampling(
            method=METHOD,
            resamples=len(self.weights),
            unit=self.clusters.unit,
            units=self.clusters.count,
            note=self.clusters.note,
        )


@dataclass(frozen=True)
class Scores:
    """Metrics by name, `value` on all rows and `drawn` (n_resamples,) on the resamples of `units` clusters."""

    value: dict[str, float]
    drawn: dict[str, Floats]
    units: int

    def interval(self, name: str) -> Interval:
        """Return a metric with its interval."""
        return interval(self.value[name], self.drawn[name], self.units)

    def difference(self, name: str, other: "Scores") -> Interval:
        """Return this minus `other`, from the same resamples, with its interval."""
        return interval(self.value[name] - other.value[name], self.drawn[name] - other.drawn[name], self.units)


def draw(clusters: Clusters, resamples: int, seed: int) -> Bootstrap:
    """Draw resamples: each as many clusters as there are, with replacement."""
    random = np.random.default_rng(seed)
    share = np.full(clusters.count, 1 / clusters.count)
    return Bootstrap(clusters, random.multinomial(clusters.count, share, size=resamples).astype(np.float64))


def interval(value: float, drawn: Floats, units: int) -> Interval:
    """Take the 95 % interval from resamples (n_resamples,); without one where fewer than half of them are numbers.

    Plain percentiles are too narrow for few units: as if the normal's quantile were used for Student's, and the
    variance had n for n − 1. The levels are moved out to make up for both (Hesterberg 2015, What Teachers Should Know
    About the Bootstrap, section 5.3).
    """
    numbers = drawn[np.isfinite(drawn)]
    if units < 2 or len(numbers) < len(drawn) / 2 or not len(numbers):
        return Interval(value=value)
    tail = (1 - LEVEL) / 2
    outer = float(ndtr(math.sqrt(units / (units - 1)) * float(stdtrit(units - 1, tail))))
    low, high = np.quantile(numbers, [outer, 1 - outer])
    return Interval(value=value, low=float(low), high=float(high))
