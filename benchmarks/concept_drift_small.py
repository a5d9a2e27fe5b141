"""Use cases of few rows a day, from a real fit to the look: how often is the test on losses wrong, and how soon right?

A linear or logistic model is fitted on early rows, judged on test rows, and fitted again on all of them, as training
does; then it answers rows whose world stays as it was, or whose inputs lose four fifths of their effect one day. The
losses go through `judge_losses`, as a look has it, with the looks' share of a budget of one false alarm a year.
"""

import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.monitor_spec import Drift
from flywheel.statistics import Floats, row_losses
from flywheel.usecase import Task
from monitoring.concept.finding import Finding
from monitoring.concept.judgement import judge_losses
from monitoring.look.budget import concept_alarms
from monitoring.performance.measure import MEASURES

Numbers = npt.NDArray[Any]
FIRST, DAY = datetime(2020, 1, 1), timedelta(days=1)
TESTED, LIVE, BEFORE = 120, 730, 90  # days of test rows, days that are live, of these days before a change
EFFECTS = np.array([-1.2, 1.0, -0.7, 0.4, 0.0])  # of a constant and four inputs
LEFT = 0.2  # of the inputs' effects after the change
BUDGET = concept_alarms(Drift())


@dataclass(frozen=True)
class Small:
    """A use case.

    Attributes:
        task: Binary or regression.
        rows: A day, on average (Poisson).
        effect: Standard deviation of what a day's rows share: of logits, or of labels.
        memory: How much a day's effect resembles that of the day before (AR(1) coefficient).
    """

    task: Task
    rows: int
    effect: float = 0.0
    memory: float = 0.0

    @property
    def name(self) -> str:
        """As the table calls it."""
        days = f", days ±{self.effect:g}, memory {self.memory:g}" if self.effect else ""
        return f"{MEASURES[self.task].title.lower()}, {self.rows} a day{days}"

    def alarms(self, seed: int, *, change: bool) -> tuple[Finding, ...]:
        """Return all alarms of two live years; with a change, it comes `BEFORE` days after the first."""
        random = np.random.default_rng([seed, self.rows, 41])
        trained = max(240, 1500 // self.rows)
        days = trained + TESTED + LIVE
        day = np.repeat(np.arange(days), random.poisson(self.rows, days))
        later = day >= trained + TESTED + BEFORE if change else np.zeros(len(day), dtype=bool)
        inputs = np.column_stack([np.ones(len(day)), random.normal(size=(len(day), 4))])
        label = self._labels(random, inputs, day, later)
        parts = [day < trained, (day >= trained) & (day < trained + TESTED), day >= trained + TESTED]
        before, after = (_fit(self.task, inputs[rows], label[rows]) for rows in (parts[0], day < trained + TESTED))
        tested, live = (
            _frame(day[rows], _losses(self.task, weights, inputs[rows], label[rows]))
            for weights, rows in ((before, parts[1]), (after, parts[2]))
        )
        due = FIRST + days * DAY
        measure = MEASURES[self.task]
        judged = judge_losses(live, measure, false_alarms_per_year=BUDGET, complete_before=due, tested=tested)
        return judged.alarms

    def delay(self, seed: int) -> float:
        """Return how many days after the change an alarm comes; infinity without one."""
        changed = (FIRST - datetime(1970, 1, 1)).days + max(240, 1500 // self.rows) + TESTED + BEFORE
        marks = [alarm.at_mark for alarm in self.alarms(seed, change=True) if alarm.at_mark is not None]
        return float(min((mark - changed + 1 for mark in marks if mark >= changed), default=np.inf))

    def _labels(self, random: np.random.Generator, inputs: Floats, day: Numbers, later: Numbers) -> Floats:
        effects = np.where(later[:, None], np.concatenate([EFFECTS[:1], LEFT * EFFECTS[1:]]), EFFECTS)
        means = (inputs * effects).sum(axis=1) + self.effect * _days(random, int(day[-1]) + 1, self.memory)[day]
        if self.task == "regression":
            return np.asarray(means + random.standard_t(6, len(day)))
        return np.asarray(random.random(len(day)) < 1 / (1 + np.exp(-means)), dtype=np.float64)


CASES = [Small(task, rows) for task in ("binary", "regression") for rows in (1, 5, 20)]
CASES += [Small(one.task, one.rows, effect=0.3, memory=0.5) for one in CASES]


def small_rows(streams: int, seed: int) -> list[dict[str, Any]]:
    """Return one row a use case: false alarms a year against the budget, and the median delay in days."""
    return [_row(case, streams, seed) for case in CASES]


def _row(case: Small, streams: int, seed: int) -> dict[str, Any]:
    alarms = sum(len(case.alarms(seed + stream, change=False)) for stream in range(streams))
    delays = [case.delay(seed + streams + stream) for stream in range(max(streams // 2, 1))]
    return {
        "part": "few rows a day",
        "world": case.name,
        "streams": streams,
        "alarms": alarms,
        "alarms_per_year": round(alarms / (streams * LIVE / 365.25), 3),
        "allowed_per_year": BUDGET,
        "median_delay_days": statistics.median(delays),
        "found_share": round(float(np.isfinite(delays).mean()), 3),
    }


def _days(random: np.random.Generator, days: int, memory: float) -> Floats:
    shocks, effects = random.normal(size=days), np.empty(days)
    effects[0] = shocks[0]
    for day in range(1, days):
        effects[day] = memory * effects[day - 1] + np.sqrt(1 - memory**2) * shocks[day]
    return effects


def _fit(task: Task, inputs: Floats, label: Floats) -> Floats:
    """Return the weights of a linear or logistic regression with a ridge of 1, by Newton's method."""
    weights, ridge = np.zeros(inputs.shape[1]), np.eye(inputs.shape[1])
    for _ in range(25 if task == "binary" else 1):
        means = _answers(task, weights, inputs)
        spread = means * (1 - means) if task == "binary" else np.ones(len(means))
        slope = inputs.T @ (label - means) - weights
        weights = weights + np.linalg.solve(inputs.T @ (inputs * spread[:, None]) + ridge, slope)
    return weights


def _answers(task: Task, weights: Floats, inputs: Floats) -> Floats:
    scores = inputs @ weights
    return np.asarray(1 / (1 + np.exp(-scores)) if task == "binary" else scores)


def _losses(task: Task, weights: Floats, inputs: Floats, label: Floats) -> Floats:
    return row_losses(task, label, _answers(task, weights, inputs))


def _frame(day: Numbers, loss: Floats) -> pl.DataFrame:
    return pl.DataFrame({"event_time": [FIRST + int(number) * DAY for number in day], "loss": loss})
