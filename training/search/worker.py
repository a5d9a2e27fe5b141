"""A worker: asks the study for a trial, runs it, and asks again, until the budget is taken.

The process that started the search is one; `python -m training.search.worker` is another on this machine, on the same
memory-mapped arrays; `flywheel worker` is one elsewhere. None of them imports MLflow.
"""

import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import FrameType

import optuna
import structlog
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from flywheel.errors import DataError, FlywheelError, StackError, UsageError
from flywheel.telemetry import configure_logs
from flywheel.usecase import UseCase
from training.data.dataset import Dataset, open_dataset
from training.families.catalogue import choose_families
from training.families.protocol import Family
from training.metrics import choose_metric
from training.search.budget import FAULT, GIVEN_BACK, find_lost, has_place, place_of, reason_to_give_back
from training.search.plan import SearchPlan, read_plan
from training.search.storage import PatientStorage, open_storage, shown
from training.search.trial import FitError, Trials

PLAN, DEADLINE, FOLDER, HOST = "plan", "deadline", "folder", "host"  # attributes of a study
URL = "FLYWHEEL_OPTUNA_URL"
SEED_STEP = 1_000_003  # a prime, so that places and seeds of a use case never meet
FIRST_TO_PRUNE = 4  # trials that nobody is compared with
BREAKS = 4  # times in a row that a connection may break within a call
LAST_WORDS = 5.0  # seconds for a worker to end by itself

_log = structlog.get_logger()


class SurplusError(Exception):
    """A claimed trial turned out to be one too many."""


class Worker:
    """Runs trials of one study in this process."""

    def __init__(self, plan: SearchPlan, dataset: Dataset, storage: PatientStorage, name: str | None = None) -> None:
        self.plan = plan
        self._storage = storage
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        metric = choose_metric(plan.task, plan.metric)
        self.families = choose_families(plan.entries, plan.task, plan.home)
        self.trials = Trials(
            dataset, self.families, metric, threads=plan.threads, pruning=plan.pruning, worker=self.name
        )
        pruner = (
            optuna.pruners.MedianPruner(n_startup_trials=FIRST_TO_PRUNE) if plan.pruning else optuna.pruners.NopPruner()
        )
        self.study = optuna.load_study(study_name=plan.study, storage=storage, sampler=self._sampler(0), pruner=pruner)
        deadline = self.study.user_attrs.get(DEADLINE)
        self._deadline = None if deadline is None else float(deadline)

    @property
    def time_is_up(self) -> bool:
        """Say whether no further trial may start."""
        return self._deadline is not None and time.time() >= self._deadline

    def family_of(self, trial: FrozenTrial) -> Family:
        """Return the family of a trial of this study."""
        return next(family for family in self.families if family.name == trial.params["family"])

    def work(self) -> bool:
        """Run one trial; return False when there is none to start.

        Raises:
            optuna.exceptions.StorageInternalError: The database went away for longer than the plan's patience.
        """
        give_out_stale(self.study)
        if self.time_is_up or not has_place(self.study.get_trials(deepcopy=False), self.plan.trials):
            return False
        # Not `Study.optimize`: when the database is away as it tells, it hides that fault behind one of its own.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Heartbeat of storage")  # ours beats below
            trial = self.study.ask()
        with beating(self._storage, trial):
            state, value = self._outcome(trial)
            told = self._tell(trial, state, value)
        if told.state != state:
            _log.warning("trial was given to another worker", number=trial.number, worker=self.name)
        return True

    def _outcome(self, trial: optuna.Trial) -> tuple[TrialState, float | None]:
        try:
            return TrialState.COMPLETE, self._run(trial)
        except optuna.TrialPruned:
            return TrialState.PRUNED, None
        except (SurplusError, FitError, optuna.exceptions.UpdateFinishedTrialError):
            return TrialState.FAIL, None
        except KeyboardInterrupt:
            with suppress(StorageInternalError):  # so that whoever goes on need not wait for the heartbeat to stop
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise

    def _run(self, trial: optuna.Trial) -> float:
        trials = self.study.get_trials(deepcopy=False)
        reason = reason_to_give_back(trials, trial.number, self.plan.trials)
        if reason is not None:
            trial.set_user_attr(GIVEN_BACK, [trial.number, reason])
            raise SurplusError(reason)
        # Proposals follow from the trial's place and what was finished before it: not from which process asks, nor from
        # what that process did before. A search that was interrupted goes on as if it had not been.
        self.study.sampler = self._sampler(place_of(trials, trial.number))
        try:
            return self.trials.run(trial, self.plan.seed)
        except FitError as fault:
            trial.set_user_attr(FAULT, [trial.number, str(fault)])
            raise

    def _tell(self, trial: optuna.Trial, state: TrialState, value: float | None) -> FrozenTrial:
        """Tell how a trial ended; one that was taken from this worker meanwhile stays as it is."""
        for _ in range(BREAKS):
            with suppress(StorageInternalError):  # it broke within the call: what took long to fit is worth more tries
                return self.study.tell(trial, value, state=state, skip_if_finished=True)
        return self.study.tell(trial, value, state=state, skip_if_finished=True)

    def _sampler(self, place: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=(self.plan.seed * SEED_STEP + place) % 2**32,
                n_startup_trials=max(4, min(15, self.plan.trials // 3)),
                constant_liar=True,  # several workers must not all try the same spot
            )


@contextmanager
def beating(storage: PatientStorage, trial: optuna.Trial) -> Iterator[None]:
    """Give a trial's sign of life from a thread, as often as the storage wants it."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(storage.get_heartbeat_interval()):
            storage.record_heartbeat(trial._trial_id)

    storage.record_heartbeat(trial._trial_id)
    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def give_out_lost(study: optuna.Study) -> None:
    """Queue copies of trials whose worker died at an unlucky moment, or was interrupted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        again = RetryHeartbeatStaleTrialCallback()
    for trial in find_lost(study.get_trials(deepcopy=False)):
        again(study, trial)


def give_out_stale(study: optuna.Study) -> None:
    """Queue copies of trials whose worker gives no sign any more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def join(
    name: str,
    usecase: UseCase,
    path: Path,
    url: str,
    *,
    prepare_dataset: Callable[[UseCase, Path, datetime], Dataset],
    threads: int,
) -> int:
    """Work on a study from anywhere that reaches its database; return the number of trials that were run.

    Args:
        name: Of the study.
        usecase: The use case; `path` is its file.
        path: Family files are relative to its folder.
        url: Of Optuna's database.
        prepare_dataset: Makes the same dataset as the search did, from use case, path and as_of. Not called on the
            machine where the search runs: its arrays are used.
        threads: Of one fit.

    Raises:
        UsageError: There is no such study.
        DataError: The data here is other than the study's.
        StackError: The database does not answer.
    """
    storage = open_storage(url)
    try:
        attributes = optuna.load_study(study_name=name, storage=storage).user_attrs
    except KeyError as fault:
        raise UsageError(f"Study '{name}' is not in {shown(url)}. Training prints the name of its study.") from fault
    plan = read_plan(attributes[PLAN], study=name, home=path.parent, threads=threads)
    if plan.usecase != usecase.name:
        raise UsageError(f"Study '{name}' searches for use case '{plan.usecase}', and {path} is '{usecase.name}'.")
    dataset = _shared(attributes, plan.digest) or prepare_dataset(usecase, path, plan.as_of)
    if dataset.digest != plan.digest:
        raise DataError(
            f"The data here is not that of study '{name}' ({dataset.digest[:19]}… instead of {plan.digest[:19]}…)."
            " Bring source, use case and features to the same state as where the search was started."
        )
    storage = open_storage(url, plan.heartbeat, plan.patience)
    return run(Worker(plan, dataset, storage), url)


def run(worker: Worker, url: str) -> int:
    """Run trials until there is none to start; return how many.

    Raises:
        StackError: The database went away for longer than the plan's patience.
    """
    count = 0
    try:
        while worker.work():
            count += 1
    except StorageInternalError as fault:
        raise gone(url, worker.plan) from fault
    return count


def gone(url: str, plan: SearchPlan) -> StackError:
    """Say that the database went away, and how to go on."""
    return StackError(
        f"Optuna's database {shown(url)} went away and did not answer again within {plan.patience:.0f} s."
        f" Start it with `flywheel up` and run the same training again: study '{plan.study}' goes on where it stopped."
    )


def _shared(attributes: dict[str, str], digest: str) -> Dataset | None:
    """Open the arrays of the search itself, if this is its machine and they are still there."""
    if (
        attributes.get(HOST) != socket.gethostname()
        or not Path(attributes.get(FOLDER, "/none"), "dataset.json").exists()
    ):
        return None
    with suppress(FlywheelError):
        dataset = open_dataset(Path(attributes[FOLDER]))
        return dataset if dataset.digest == digest else None
    return None


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Wait until the process that started this one is gone; then end, if need be in the middle of a fit."""
    while os.read(sys.stdin.fileno(), 1):  # never a byte: only its end comes, when the other side is gone
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_WORDS)
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Work beside the search that started this process: STUDY, FOLDER of the arrays, HOME of the use case, THREADS."""
    study, folder, home, threads = arguments
    configure_logs("warning")
    url = os.environ[URL]
    try:
        signal.signal(signal.SIGTERM, _stop)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        storage = open_storage(url)
        document = optuna.load_study(study_name=study, storage=storage).user_attrs[PLAN]
        plan = read_plan(document, study=study, home=Path(home), threads=int(threads))
        storage = open_storage(url, plan.heartbeat, plan.patience)
        run(Worker(plan, open_dataset(Path(folder)), storage), url)
    except KeyboardInterrupt:
        return 130
    except FlywheelError as fault:
        sys.stderr.write(f"Worker {os.getpid()}: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
