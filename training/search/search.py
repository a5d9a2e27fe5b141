"""The search: a study of trials that several processes share, of which nothing is lost when any of them dies.

The first trials are the families' defaults, so that a short search is never worse than none, then what the champion
did well with. The same search on the same data is the same study: run again, it goes on, and a finished one is read.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import optuna
import structlog
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flywheel.errors import DataError, StackError
from training.data.dataset import Dataset
from training.families.catalogue import choose_families, find_family
from training.families.protocol import Family, Params, Value
from training.metrics import choose_metric
from training.search.budget import fault_of, is_settled
from training.search.follower import Follower
from training.search.plan import SearchPlan
from training.search.storage import PatientStorage, open_storage
from training.search.trial import TrialReport, proposed, report_of
from training.search.worker import (
    DEADLINE,
    FOLDER,
    HOST,
    LAST_WORDS,
    PLAN,
    URL,
    Worker,
    give_out_lost,
    give_out_stale,
    gone,
)

ENDED, QUEUED, SEEDED = "ended", "queued", "seeds"  # attributes of a study
WARM_TRIALS = 3  # of the champion's study
SEED_CANDIDATES = 3
LOOK = 0.3  # seconds between looks at what other workers still run

_log = structlog.get_logger()


@dataclass(frozen=True)
class Found:
    """What a search found.

    `params` are resolved: they fit again without early stopping. `value` is the chosen trial's mean over folds (and
    seeds). `seeds` gives, by trial number, the means of those candidates that were fitted with several seeds.
    """

    family: Family
    params: Params
    value: float
    number: int
    trials: tuple[TrialReport, ...]
    study: str
    seeds: dict[int, tuple[float, ...]]

    @property
    def history(self) -> list[float]:
        """The values of complete trials, by trial number."""
        return [trial.value for trial in self.trials if trial.value is not None]


def search(plan: SearchPlan, dataset: Dataset, url: str, report: Callable[[TrialReport], None]) -> Found:
    """Run the trials of a plan, or those that are still missing, and choose.

    Args:
        plan: What to search.
        dataset: The encoded rows; `dataset.folder` is what other processes of this machine open.
        url: Of Optuna's database.
        report: Told of each finished trial once, on a thread of its own; also of those of an earlier session.

    Raises:
        DataError: No trial was completed; says why the first one failed.
        StackError: The database went away for longer than the plan's patience.
        SpecError: A family is unknown.
    """
    storage = open_storage(url, plan.heartbeat, plan.patience)
    try:
        study = _open_study(plan, dataset, storage)
        if _is_ended(study, plan):
            worker = Worker(plan, dataset, storage)
            with Follower(study, report):
                pass
        else:
            _start_session(study, plan, dataset)
            with helpers(plan, dataset, url) as processes:
                worker = Worker(plan, dataset, storage)
                with Follower(optuna.load_study(study_name=plan.study, storage=storage), report):
                    _run(worker, processes)
            study.set_user_attr(ENDED, _budget(plan))
        return _choose(worker)
    except StorageInternalError as fault:
        raise gone(url, plan) from fault


def _open_study(plan: SearchPlan, dataset: Dataset, storage: PatientStorage) -> optuna.Study:
    metric = choose_metric(plan.task, plan.metric)
    direction = StudyDirection.MINIMIZE if metric.less_is_better else StudyDirection.MAXIMIZE
    study = optuna.create_study(storage=storage, study_name=plan.study, direction=direction, load_if_exists=True)
    known = study.user_attrs.get(PLAN)
    if known is not None and known["digest"] != dataset.digest:
        raise DataError(f"Study '{plan.study}' was made on other data. Give the search another name.")
    return study


def _budget(plan: SearchPlan) -> list[float | None]:
    return [plan.trials, plan.minutes]


def _is_ended(study: optuna.Study, plan: SearchPlan) -> bool:
    return study.user_attrs.get(ENDED) == _budget(plan)


def _start_session(study: optuna.Study, plan: SearchPlan, dataset: Dataset) -> None:
    """Write down what workers need; queue the first trials, or what an earlier session lost."""
    study.set_user_attr(PLAN, plan.document())
    study.set_user_attr(HOST, socket.gethostname())
    study.set_user_attr(FOLDER, str(dataset.folder))
    study.set_user_attr(DEADLINE, None if plan.minutes is None else time.time() + 60 * plan.minutes)
    if not study.user_attrs.get(QUEUED):
        for proposal in first_trials(plan, study)[: plan.trials]:
            study.enqueue_trial(proposal, skip_if_exists=True)
        study.set_user_attr(QUEUED, True)
    give_out_lost(study)


def first_trials(plan: SearchPlan, study: optuna.Study) -> list[dict[str, Value]]:
    """List what is tried first: the families' defaults, the champion's parameters, the best of the champion's study."""
    families = choose_families(plan.entries, plan.task, plan.home)
    proposals = [_proposal(family.name, family.defaults(plan.task)) for family in families]
    if plan.warm is None or find_family(families, plan.warm.family) is None:
        return proposals
    proposals.append(_proposal(plan.warm.family, plan.warm.params))
    if plan.warm.study is not None and plan.warm.study != plan.study:
        known = {family.name for family in families}
        proposals += [trial for trial in _best_of(plan.warm.study, study) if trial.get("family") in known]
    return proposals


def _proposal(family: str, params: Params) -> dict[str, Value]:
    return {"family": family, **{f"{family}.{key}": value for key, value in params.items()}}


def _best_of(name: str, beside: optuna.Study) -> list[dict[str, Value]]:
    """Return the parameters of the best trials of another study in the same storage; none when it is gone."""
    try:
        other = optuna.load_study(study_name=name, storage=beside._storage)
    except KeyError:
        return []
    complete = other.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ordered = sorted(complete, key=lambda trial: _rank(trial, other.direction))
    return [dict(trial.params) for trial in ordered[:WARM_TRIALS]]


def _rank(trial: FrozenTrial, direction: StudyDirection) -> tuple[float, int]:
    """Order complete trials, the best first; of equals the earlier."""
    value = float(trial.value or 0.0)
    return (value if direction == StudyDirection.MINIMIZE else -value, trial.number)


@contextmanager
def helpers(plan: SearchPlan, dataset: Dataset, url: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run the other processes of this machine; none of them is left at the end, however it comes.

    Their standard input is a pipe that closes when this process dies, which they take as their sign to end.

    Raises:
        StackError: The dataset has no folder that they could open.
    """
    if plan.workers > 1 and dataset.folder is None:
        raise StackError("The dataset lies in no folder, so no other process can open it. Set train.workers to 1.")
    command = [sys.executable, "-m", "training.search.worker", plan.study, str(dataset.folder), str(plan.home)]
    environment = {**os.environ, URL: url, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(plan.workers - 1):
            process = subprocess.Popen([*command, str(plan.threads)], stdin=subprocess.PIPE, env=environment)
            processes.append(process)
        yield processes
    finally:
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in processes:
            try:
                process.wait(LAST_WORDS + 1)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _run(worker: Worker, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Work until every place of the budget is settled, or time is up and nobody works any more."""
    dead: set[int] = set()
    while True:
        _say_deaths(processes, dead)
        if worker.work():
            continue
        trials = worker.study.get_trials(deepcopy=False)
        if sum(map(is_settled, trials)) >= worker.plan.trials:
            return
        if worker.time_is_up and not any(trial.state == TrialState.RUNNING for trial in trials):
            return
        give_out_stale(worker.study)
        give_out_lost(worker.study)
        time.sleep(LOOK)


def _say_deaths(processes: Sequence[subprocess.Popen[bytes]], dead: set[int]) -> None:
    for process in processes:
        if process.poll() and process.pid not in dead:
            dead.add(process.pid)
            _log.warning("a worker died; its trial goes to another", pid=process.pid, code=process.returncode)


def _choose(worker: Worker) -> Found:
    study, plan = worker.study, worker.plan
    trials = [trial for trial in study.get_trials(deepcopy=False) if is_settled(trial)]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        fault = next((fault for trial in trials if (fault := fault_of(trial))), "none was started in time")
        raise DataError(
            f"No trial of study '{plan.study}' was completed: {fault}. Correct the family or the data,"
            " or give the search more time."
        )
    ordered = sorted(complete, key=lambda trial: _rank(trial, study.direction))
    seeds = _seeded(worker, ordered[:SEED_CANDIDATES]) if plan.seeds > 1 else {}
    best, value = ordered[0], float(ordered[0].value or 0.0)
    if seeds:
        sign = 1 if study.direction == StudyDirection.MINIMIZE else -1
        number = min(seeds, key=lambda number: (sign * float(np.mean(seeds[number])), number))
        best, value = next(trial for trial in complete if trial.number == number), float(np.mean(seeds[number]))
    chosen = report_of(best)
    family = find_family(worker.families, chosen.family)
    if family is None:
        raise DataError(
            f"Study '{plan.study}' chose family '{chosen.family}', which is gone. Name it in train.families."
        )
    reports = tuple(report_of(trial) for trial in sorted(trials, key=lambda trial: trial.number))
    return Found(family, chosen.params, value, best.number, reports, plan.study, seeds)


def _seeded(worker: Worker, candidates: Sequence[FrozenTrial]) -> dict[int, tuple[float, ...]]:
    """Fit the best candidates again with other seeds; return each one's means over the folds, by trial number."""
    plan, study = worker.plan, worker.study
    known = {int(number): tuple(values) for number, values in study.user_attrs.get(SEEDED, {}).items()}
    found: dict[int, tuple[float, ...]] = {}
    for trial in candidates:
        values = known.get(trial.number, (float(trial.value or 0.0),))
        for seed in range(plan.seed + len(values), plan.seed + plan.seeds):
            values = (*values, worker.trials.score(worker.family_of(trial), proposed(trial), seed))
            study.set_user_attr(
                SEEDED, {str(number): list(v) for number, v in {**known, **found, trial.number: values}.items()}
            )
        found[trial.number] = values[: plan.seeds]
    return found
