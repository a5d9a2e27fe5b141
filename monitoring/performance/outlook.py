"""Windows in a row, each estimated from what was known when it began, beside what it turned out to be; pure.

Nothing looks ahead: a window's scores are read by outcomes known at its start, and its estimate is corrected by the
errors of windows before it as far as these were known then. So the same function serves the newest window, a picture
of the past, and a replay of history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from flywheel.usecase import Costs, Task
from monitoring.performance.estimation import expect
from monitoring.performance.foresight import Forecast, Past, foresee
from monitoring.performance.metrics import Metric, realised_metrics

ENOUGH = 500  # outcomes since a change, from which on its new meaning of scores counts as learned


@dataclass(frozen=True)
class Outlook:
    """One window.

    Attributes:
        start: Included.
        end: Excluded.
        rows: Answers in it.
        forecasts: By metric: what was to be expected when it began.
        realised: By metric, of its outcomes known by now.
    """

    start: datetime
    end: datetime
    rows: int
    forecasts: Mapping[str, Forecast]
    realised: Mapping[str, Metric]

    def body(self) -> dict[str, Any]:
        """Return it as plain values, for an event."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "forecasts": {name: forecast.body() for name, forecast in self.forecasts.items()},
            "realised": {name: metric.body() for name, metric in self.realised.items()},
        }


def outlooks(
    rows: pl.DataFrame,
    spans: Sequence[tuple[datetime, datetime]],
    sample: pl.DataFrame,
    task: Task,
    *,
    costs: Costs | None = None,
    changes: Sequence[datetime] = (),
    reference: Mapping[str, float] | None = None,
) -> tuple[Outlook, ...]:
    """Estimate windows that follow each other.

    Args:
        rows: Answers of all windows and, where there are any, from before the first: `event_time`, `time_known` (null:
            not known yet), `model_version`, `prediction`, `outcome`, `loss`, for regression the inputs, for multiclass
            `probability_<class>`.
        spans: Start and end of each window, in order of time.
        sample: What `known_rows` returns for the versions, with `event_time`; for multiclass without rows, as reference
            samples have no probabilities of classes.
        task: Of the use case.
        costs: Of wrong decisions.
        changes: Since when concept drift is known, in any order.
        reference: What the metrics were on rows that the versions had not seen; None: as on the sample.
    """
    if reference is None:
        reference = {name: metric.value for name, metric in realised_metrics(sample, task, costs).items()}
    past: list[_Earlier] = []
    found = []
    for start, end in spans:
        window = rows.filter(pl.col("event_time").is_between(start, end, closed="left"))
        known = rows.filter(pl.col("time_known") <= start)
        expected = expect(window, _together(sample, known), task, costs)
        before = [(one.realised(start, task, costs), one.said) for one in past]
        drifted = _unlearned(known, end, changes)
        forecasts = {
            name: foresee(
                value,
                [Past(said[name], turned[name].value) for turned, said in before if name in turned and name in said],
                reference.get(name, value),
                drifted=drifted,
            )
            for name, value in expected.items()
        }
        realised = realised_metrics(window.filter(pl.col("time_known").is_not_null()), task, costs)
        found.append(Outlook(start, end, window.height, forecasts, realised))
        past.append(_Earlier(window, expected))
    return tuple(found)


@dataclass
class _Earlier:
    """A window that has been estimated: its rows, what was said, and what came of it once all outcomes are known."""

    rows: pl.DataFrame
    said: dict[str, float]
    final: dict[str, Metric] | None = None

    def realised(self, moment: datetime, task: Task, costs: Costs | None) -> dict[str, Metric]:
        """Return the metrics of the outcomes known at a moment."""
        if self.final is not None:
            return self.final
        known = self.rows.filter(pl.col("time_known") <= moment)
        found = realised_metrics(known, task, costs)
        if known.height == self.rows.height:
            self.final = found  # moments only move forward
        return found


def _together(sample: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the reference sample and the labelled rows with the columns that both have."""
    if sample.is_empty():
        return known
    both = [name for name in sample.columns if name in known.columns]
    return pl.concat([sample.select(both), known.select(both)], how="vertical_relaxed")


def _unlearned(known: pl.DataFrame, end: datetime, changes: Sequence[datetime]) -> str | None:
    """Return the newest change before the window's end since which too few outcomes are known, as text."""
    for change in sorted((change for change in changes if change < end), reverse=True):
        if known.filter(pl.col("event_time") > change).height < ENOUGH:
            return f"{change:%Y-%m-%d}"
    return None
