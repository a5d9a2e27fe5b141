"""One trial: the family and parameters that Optuna proposes are fitted on each fold and scored on its later rows."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from flywheel.statistics import Floats
from training.data.dataset import Dataset, Matrix, Rows
from training.data.prediction import predict_matrix
from training.families.protocol import Evaluation, Family, FitData, Fitted, Params
from training.metrics import Metric
from training.search.budget import fault_of

State = Literal["complete", "pruned", "failed"]

OUTCOME = "outcome"  # user attribute of a finished trial: what `TrialReport` tells beyond Optuna's own fields


@dataclass(frozen=True)
class TrialReport:
    """A finished trial, for people and for MLflow.

    `state` is complete, pruned or failed; `value` is the mean over `folds` (None unless complete); `params` are
    resolved so that they fit again without early stopping; `seconds` is the time from proposal to score; `fault` says
    why it failed.
    """

    number: int
    family: str
    params: Params
    state: State
    value: float | None
    folds: tuple[float, ...]
    seconds: float
    worker: str
    fault: str | None = None


class FitError(Exception):
    """A fit raised, or its score is no number; the message says which and why."""


@dataclass(frozen=True)
class _Side:
    """The arrays of one fold; views of the shared ones unless groups were purged."""

    matrix: Matrix
    label: Any
    later: Evaluation
    weight: Floats | None


class Trials:
    """Runs trials on one dataset in this process. What purging cuts out of the arrays is cut once, not once a trial."""

    def __init__(
        self, dataset: Dataset, families: Sequence[Family], metric: Metric, *, threads: int, pruning: bool, worker: str
    ) -> None:
        self._dataset = dataset
        self._families = tuple(families)
        self._metric = metric
        self._threads = threads
        self._pruning = pruning
        self._worker = worker
        self._sides = [
            _Side(
                fold.train.take(dataset.matrix),
                fold.train.take(dataset.label),
                Evaluation(fold.validation.take(dataset.matrix), fold.validation.take(dataset.label)),
                dataset.weight(fold.train),
            )
            for fold in dataset.folds
        ]

    def run(self, trial: optuna.Trial, seed: int) -> float:
        """Fit what the trial proposes on each fold; return the mean score.

        Raises:
            FitError: A fit raised, or a score is no number.
            optuna.TrialPruned: It falls behind the median of the trials before it.
        """
        name = trial.suggest_categorical("family", [family.name for family in self._families])
        family = next(family for family in self._families if family.name == name)
        with warnings.catch_warnings():
            # The champion's may lie outside a search space that has changed since: they are tried all the same.
            warnings.filterwarnings("ignore", message="Fixed parameter")
            params = family.suggest(trial, self._dataset.task)
        values: list[float] = []
        for number in range(len(self._sides)):
            fitted, value = self.fit_fold(family, params, number, seed=seed, report=self._reporter(trial))
            values.append(value)
            if len(self._sides) > 1 and number < len(self._sides) - 1:
                self._report(trial, number, float(np.mean(values)))
        trial.set_user_attr(OUTCOME, {"params": dict(fitted.params), "folds": values, "worker": self._worker})
        return float(np.mean(values))

    def score(self, family: Family, params: Params, seed: int) -> float:
        """Fit each fold with a seed of its own; return the mean score.

        Raises:
            FitError: A fit raised, or a score is no number.
        """
        folds = range(len(self._sides))
        return float(np.mean([self.fit_fold(family, params, number, seed=seed)[1] for number in folds]))

    def fit_fold(
        self,
        family: Family,
        params: Params,
        number: int,
        *,
        seed: int,
        report: Callable[[int, float], None] | None = None,
    ) -> tuple[Fitted, float]:
        """Fit one fold and score it on its later rows.

        Raises:
            FitError: The fit raised, or the score is no number.
        """
        side, task = self._sides[number], self._dataset.task
        told: dict[str, Any] = {"report": report} if report else {}
        data = FitData(
            matrix=side.matrix,
            label=side.label,
            columns=self._dataset.columns,
            task=task,
            n_classes=self._dataset.n_classes,
            seed=seed,
            threads=self._threads,
            evaluation=side.later,
            weight=side.weight,
            **told,
        )
        try:
            fitted = family.fit(params, data)
            prediction = predict_matrix(fitted.model, side.later.matrix, task)
        except (optuna.exceptions.OptunaError, MemoryError):  # a pruned trial; a database that went away
            raise
        except Exception as fault:  # a family may be the user's own: whatever it raises is a fault of this trial
            reason = (str(fault).strip() or "no message").splitlines()[0].rstrip(".")
            raise FitError(f"{family.name} raised {type(fault).__name__}: {reason}") from fault
        value = self._metric.measure(side.later.label, prediction) if np.isfinite(prediction).all() else float("nan")
        if not np.isfinite(value):
            raise FitError(f"{family.name} predicted values that are no numbers, or its {self._metric.name} is none")
        return fitted, value

    def _reporter(self, trial: optuna.Trial) -> Callable[[int, float], None] | None:
        """Take a fit's losses for pruning, unless whole folds serve for it."""
        if not self._pruning or len(self._sides) > 1:
            return None
        sign = 1.0 if self._metric.less_is_better else -1.0
        return lambda step, loss: self._report(trial, step, sign * loss)

    def _report(self, trial: optuna.Trial, step: int, value: float) -> None:
        if not self._pruning:
            return
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned(f"behind the median at step {step}")


def fit(family: Family, params: Params, dataset: Dataset, rows: Rows, *, seed: int, threads: int) -> Fitted:
    """Fit resolved parameters on some rows, without early stopping: the model that is evaluated, or the last one.

    Args:
        family: Of the parameters.
        params: As `training.search.search.Found` has them.
        dataset: The encoded rows.
        rows: Such as `dataset.folds[-1].train`, or `dataset.everything`.
        seed: Of everything random in the fit.
        threads: Most threads it may use.
    """
    data = FitData(
        matrix=rows.take(dataset.matrix),
        label=rows.take(dataset.label),
        columns=dataset.columns,
        task=dataset.task,
        n_classes=dataset.n_classes,
        seed=seed,
        threads=threads,
        weight=dataset.weight(rows),
    )
    return family.fit(params, data)


def proposed(trial: FrozenTrial) -> Params:
    """Return the family's parameters as they were proposed, before any early stopping."""
    prefix = f"{trial.params.get('family')}."
    return {key.removeprefix(prefix): value for key, value in trial.params.items() if key.startswith(prefix)}


def report_of(trial: FrozenTrial) -> TrialReport:
    """Describe a settled trial."""
    outcome = trial.user_attrs.get(OUTCOME, {}) if trial.state == TrialState.COMPLETE else {}
    name = str(trial.params.get("family", "?"))
    states: dict[TrialState, State] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    return TrialReport(
        number=trial.number,
        family=name,
        params=outcome.get("params", proposed(trial)),
        state=states.get(trial.state, "failed"),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        folds=tuple(outcome.get("folds", ())),
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        worker=outcome.get("worker", ""),
        fault=fault_of(trial),
    )
