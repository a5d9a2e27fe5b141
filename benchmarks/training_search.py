"""The search against plain Optuna with the same estimator on the same folds, and two workers against one.

Both sides try the same list of parameters, so that their fits are the same, and prune by the same rule. With fits of a
second plain Optuna keeps its study in memory: what Postgres, heartbeats, resuming and MLflow's nested runs cost all
counts as overhead. The sides take turns (plain, ours, ours, plain), so that a machine that gets slower or faster does
not favour one. The cost of a trial is measured with fits that take next to nothing, beside plain Optuna on the same
Postgres (what Flywheel adds) and in memory (what a study that survives costs in all).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
from mlflow.tracking import MlflowClient
from sklearn.metrics import log_loss
from xgboost import XGBClassifier

from flywheel.goals import Goal, goal
from flywheel.usecase import UseCase, parse_usecase
from training.data.dataset import Dataset
from training.data.encoding import write_dataset
from training.data.split import split
from training.families.xgboost_trees import MOST_TREES, PATIENCE, XGBoost
from training.search.plan import SearchPlan, make_plan
from training.search.recorder import TrialRecorder
from training.search.search import QUEUED, search
from training.search.worker import FIRST_TO_PRUNE

START = datetime(2024, 1, 1)
ROWS, COLUMNS = 40_000, 20
SMALL = 2_000  # rows of the comparison in which fits take next to nothing
PAIR = 24  # trials of the comparison of workers
FAMILY = "xgboost"
Proposals = list[dict[str, Any]]
Row = dict[str, Any]


def measure(folder: Path, url: str, trials: int) -> tuple[list[Goal], list[Row]]:
    """Run the comparisons.

    Args:
        folder: For the arrays.
        url: Of Optuna's database; MLflow is taken from the environment.
        trials: Of the comparison with plain Optuna.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    case = parse_usecase(
        {
            "name": "benchmark",
            "data": {
                "source": {"kind": "csv", "path": "rows.csv"},
                "event_time": "at",
                "label": {"column": "y", "available_after": "1d"},
            },
            "train": {"validation": "30d", "folds": 2, "families": [FAMILY]},
        },
        "benchmark",
    )
    large = write(folder / "large", case, ROWS)
    proposals = draw(trials)
    rows = compare(case, large, url, proposals)
    rows += small_fits(case, write(folder / "small", case, SMALL), url, proposals)
    rows += pair(case, large, url, proposals[:PAIR])
    return goals_of(rows, trials), rows


def goals_of(rows: list[Row], trials: int) -> list[Goal]:
    """Hold the sides against each other."""
    seconds: dict[str, float] = {}
    for row in rows:
        seconds[row["side"]] = seconds.get(row["side"], 0.0) + row["seconds"]
    # Milliseconds are taken where fits take next to nothing: beside fits of a second they drown in the machine's noise.
    small = seconds["search, small"]
    ours, durable = ((small - seconds[f"plain{where}, small"]) / trials * 1000 for where in (" on Postgres", ""))
    return [
        goal("search_overhead_ratio", round(seconds["search"] / seconds["plain"], 3), "<=", 1.1),
        goal("trial_overhead_ms", round(ours, 1), "<=", 60),
        goal("trial_overhead_ms_beside_memory", round(durable, 1), "<=", 60),
        goal("two_workers_ratio", round(seconds["two workers"] / seconds["one worker"], 3), "<=", 0.6),
    ]


def compare(case: UseCase, dataset: Dataset, url: str, proposals: Proposals) -> list[Row]:
    """Run all proposals on both sides, in two halves: plain, search, search, plain."""
    half = len(proposals) // 2
    plan = plan_of(case, dataset, "compare", trials=half)
    queue(plan, url, proposals[:half])
    plain = Plain(dataset, plan.threads)
    rows = [row("plain", half, *timed(lambda: plain.run(proposals[:half])))]
    rows.append(row("search", half, *timed(lambda: recorded(plan, dataset, url))))
    whole = replace(plan, trials=len(proposals))
    queue(whole, url, proposals[half:])
    rows.append(row("search", len(proposals) - half, *timed(lambda: recorded(whole, dataset, url))))
    rows.append(row("plain", len(proposals) - half, *timed(lambda: plain.run(proposals[half:]))))
    return rows


def small_fits(case: UseCase, dataset: Dataset, url: str, proposals: Proposals) -> list[Row]:
    """Run all proposals on few rows: what is left is what the sides themselves cost, and noise does not hide it."""
    plan = plan_of(case, dataset, "small", trials=len(proposals))
    queue(plan, url, proposals)
    count = len(proposals)
    return [
        row("plain, small", count, *timed(lambda: Plain(dataset, plan.threads).run(proposals))),
        row("plain on Postgres, small", count, *timed(lambda: Plain(dataset, plan.threads, url).run(proposals))),
        row("search, small", count, *timed(lambda: recorded(plan, dataset, url))),
    ]


def pair(case: UseCase, dataset: Dataset, url: str, proposals: Proposals) -> list[Row]:
    """Run the same list with one worker and with two, of one thread each; start-up counts."""
    rows = []
    for workers, side in ((1, "one worker"), (2, "two workers")):
        plan = replace(plan_of(case, dataset, side, trials=len(proposals)), workers=workers, threads=1)
        queue(plan, url, proposals)
        rows.append(row(side, len(proposals), *timed(partial(searched, plan, dataset, url))))
    return rows


class Plain:
    """What one would write without Flywheel: Optuna, XGBoost, two folds."""

    def __init__(self, dataset: Dataset, threads: int, url: str | None = None) -> None:
        self._folds = [
            (
                fold.train.take(dataset.matrix),
                fold.train.take(dataset.label),
                fold.validation.take(dataset.matrix),
                fold.validation.take(dataset.label),
            )
            for fold in dataset.folds
        ]
        self._threads = threads
        pruner = optuna.pruners.MedianPruner(n_startup_trials=FIRST_TO_PRUNE)
        sampler = optuna.samplers.TPESampler(seed=7)
        self._study = optuna.create_study(storage=url, sampler=sampler, pruner=pruner, study_name="plain")

    def run(self, proposals: Proposals) -> float:
        """Try some proposals; return the best value so far."""
        for proposal in proposals:
            self._study.enqueue_trial(proposal)
        self._study.optimize(self._objective, n_trials=len(proposals))
        return float(self._study.best_value)

    def _objective(self, trial: optuna.Trial) -> float:
        params = XGBoost().suggest(trial, "binary")
        losses: list[float] = []
        for step, (matrix, label, later, later_label) in enumerate(self._folds):
            model = XGBClassifier(
                n_estimators=MOST_TREES,
                max_depth=params["max_depth"],
                learning_rate=params["learning_rate"],
                min_child_weight=params["min_child_weight"],
                subsample=params["subsample"],
                colsample_bytree=params["colsample"],
                reg_lambda=params["l2"],
                tree_method="hist",
                eval_metric="logloss",
                early_stopping_rounds=PATIENCE,
                random_state=7,
                n_jobs=self._threads,
            )
            model.fit(matrix, label.astype(int), eval_set=[(later, later_label.astype(int))], verbose=False)
            losses.append(float(log_loss(later_label, model.predict_proba(later)[:, 1])))
            if step == 0:
                trial.report(losses[0], step)
                if trial.should_prune():
                    raise optuna.TrialPruned
        return float(np.mean(losses))


def searched(plan: SearchPlan, dataset: Dataset, url: str) -> float:
    """Search and tell nobody; return the best value."""
    return search(plan, dataset, url, _nothing).value


def recorded(plan: SearchPlan, dataset: Dataset, url: str) -> float:
    """Search with every trial as a nested run on the MLflow server, as training does; return the best value."""
    client = MlflowClient()
    found = client.get_experiment_by_name(plan.study)
    experiment = found.experiment_id if found else client.create_experiment(plan.study)
    parent = client.create_run(experiment)
    with TrialRecorder(client, experiment, parent.info.run_id, plan.metric) as record:
        value = search(plan, dataset, url, record).value
    client.set_terminated(parent.info.run_id)
    return value


def queue(plan: SearchPlan, url: str, proposals: Proposals) -> None:
    """Make the study of a plan with a list of proposals instead of its own first ones."""
    study = optuna.create_study(storage=url, study_name=plan.study, load_if_exists=True)
    for proposal in proposals:
        study.enqueue_trial({"family": FAMILY, **proposal})
    study.set_user_attr(QUEUED, True)


def draw(count: int) -> Proposals:
    """Draw parameters for so many trials, the same ones each time."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    trials = [study.ask() for _ in range(count)]
    for trial in trials:
        XGBoost().suggest(trial, "binary")
    return [dict(trial.params) for trial in trials]


def plan_of(case: UseCase, dataset: Dataset, study: str, *, trials: int) -> SearchPlan:
    """Plan a search as training does, under a name of its own."""
    return replace(make_plan(case, Path(), dataset, as_of=datetime(2030, 1, 1), trials=trials), study=study)


def write(folder: Path, case: UseCase, count: int) -> Dataset:
    """Write a data set of `count` rows over a year, whose label follows some of its columns."""
    random = np.random.default_rng(5)
    values = random.normal(size=(count, COLUMNS))
    hidden = values[:, 0] + np.sin(2 * values[:, 1]) * values[:, 2] + 0.5 * values[:, 3] ** 2
    label = (hidden + random.normal(size=count) > 0.5).astype(int)
    times = [START + timedelta(days=365) * (i / count) for i in range(count)]
    frame = pl.DataFrame({f"x{i}": values[:, i] for i in range(COLUMNS)})
    made = split(frame.with_columns(at=pl.Series(times), y=pl.Series(label)), case, datetime(2030, 1, 1))
    return write_dataset(folder, made.rows.select(frame.columns), made, "binary")


def timed(run: Callable[[], float]) -> tuple[float, float]:
    """Return how long a call took (seconds), and what it returned."""
    began = time.perf_counter()
    value = run()
    return time.perf_counter() - began, value


def row(side: str, trials: int, seconds: float, value: float) -> Row:
    """Describe one measurement."""
    milliseconds = round(1000 * seconds / trials, 1)
    figures = {"side": side, "trials": trials, "seconds": round(seconds, 2), "ms_per_trial": milliseconds}
    return {**figures, "best": round(value, 6)}


def _nothing(_trial: object) -> None:
    """Tell nobody."""
