"""The search: Optuna proposes family and parameters, each trial fits on train and is scored on validation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection as Direction
from sklearn.pipeline import Pipeline

from flywheel.statistics import Floats
from flywheel.usecase import Train
from training.evaluate import Scores, score
from training.families import Columns, Family, Params, columns_of


@dataclass(frozen=True)
class Sides:
    """What a trial sees: estimator inputs (pandas, n_rows by n_features), labels 0/1, days of validation rows."""

    train: Any
    train_label: Floats
    validation: Any
    validation_label: Floats
    validation_day: np.ndarray[Any, Any]

    @property
    def columns(self) -> Columns:
        """The features by kind."""
        return columns_of(self.train)


@dataclass(frozen=True)
class Candidate:
    """One fitted pipeline, and its probabilities and scores on the validation rows."""

    family: Family
    params: Params
    estimator: Pipeline
    probability: Floats
    scores: Scores


@dataclass(frozen=True)
class TrialReport:
    """A finished trial, for people and for MLflow. `seconds` is the time of fitting and scoring."""

    number: int
    family: str
    params: Params
    scores: Scores
    seconds: float


@dataclass(frozen=True)
class SearchPlan:
    """What to search: the use case's words, resolved."""

    study: str
    families: list[Family]
    trials: int
    train: Train
    threads: int


def search(
    plan: SearchPlan, sides: Sides, storage: optuna.storages.BaseStorage, report: Callable[[TrialReport], None]
) -> tuple[Candidate, optuna.Study]:
    """Run the trials, one after the other, and return the best candidate with its study.

    The first trials are the families' defaults, so that a short search is never worse than none. The same seed on the
    same data proposes the same parameters.
    """
    direction = Direction.MINIMIZE if plan.train.metric == "log_loss" else Direction.MAXIMIZE
    sampler = optuna.samplers.TPESampler(seed=plan.train.seed, n_startup_trials=max(4, plan.trials // 3))
    study = optuna.create_study(storage=storage, study_name=plan.study, sampler=sampler, direction=direction)
    for family in plan.families[: plan.trials]:
        study.enqueue_trial(
            {"family": family.name, **{f"{family.name}.{key}": value for key, value in family.defaults.items()}}
        )
    best: list[Candidate] = []

    def objective(trial: optuna.Trial) -> float:
        candidate = fit_trial(plan, sides, trial)
        value = getattr(candidate.scores, plan.train.metric)
        if not best or _better(value, getattr(best[0].scores, plan.train.metric), direction):
            best[:] = [candidate]
        return float(value)

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        report(_report(trial))

    study.optimize(objective, n_trials=plan.trials, callbacks=[after])
    return best[0], study


def fit_trial(plan: SearchPlan, sides: Sides, trial: optuna.Trial) -> Candidate:
    """Fit what the trial proposes on the train side and score it on the validation side."""
    name = trial.suggest_categorical("family", [family.name for family in plan.families])
    family = next(family for family in plan.families if family.name == name)
    params = family.suggest(trial)
    estimator = family.estimator(params, sides.columns, plan.train.seed, plan.threads)
    estimator.fit(sides.train, sides.train_label)
    probability = positive(estimator, sides.validation)
    scores = score(sides.validation_label, probability, sides.validation_day)
    trial.set_user_attr("params", dict(params))
    trial.set_user_attr("scores", vars(scores))
    return Candidate(family, params, estimator, probability, scores)


def positive(estimator: Pipeline, frame: Any) -> Floats:
    """Return the probability of label 1 for each row of an estimator input; shape (n_rows,)."""
    return np.asarray(estimator.predict_proba(frame)[:, 1], dtype=np.float64)


def _better(value: float, than: float, direction: Direction) -> bool:
    return value < than if direction is Direction.MINIMIZE else value > than


def _report(trial: optuna.trial.FrozenTrial) -> TrialReport:
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    return TrialReport(
        trial.number, trial.params["family"], trial.user_attrs["params"], Scores(**trial.user_attrs["scores"]), seconds
    )
