"""What a search is asked to do, resolved from the use case; and its study's name, by which the same search resumes."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flywheel.errors import DataError
from flywheel.usecase import Task, UseCase
from training.data.dataset import Dataset
from training.families.catalogue import DEFAULTS
from training.families.protocol import Params
from training.metrics import choose_metric


@dataclass(frozen=True)
class Warm:
    """What is tried early because it did well before: the champion's parameters, and its study when it still exists."""

    family: str
    params: Params
    study: str | None = None


@dataclass(frozen=True)
class Heartbeat:
    """How a dead worker is noticed, in whole seconds: its trial is given to another after `grace` without a sign."""

    interval: int = 5
    grace: int = 20


@dataclass(frozen=True)
class SearchPlan:
    """The search's settings.

    Args:
        usecase: Its name.
        study: Name of the study; `study_name` makes it.
        task: What the families must do.
        entries: Families, as the use case writes them.
        home: Folder of the use case, which family files are relative to.
        metric: By which trials are compared.
        trials: How many trials are to be finished, in all sessions together.
        as_of: Naive UTC; a worker elsewhere prepares its data as of it.
        digest: Of the dataset.
        minutes: No trial is started after so many, counted from the start of each session.
        seed: Of proposals and fits.
        seeds: The best candidates are fitted with so many.
        workers: Processes on this machine, this one included.
        threads: Of one fit.
        pruning: Whether trials that fall behind the median end early.
        warm: What is tried early.
        heartbeat: How a dead worker is noticed.
        patience: Seconds to wait for a database that went away.
    """

    usecase: str
    study: str
    task: Task
    entries: tuple[str, ...]
    home: Path
    metric: str
    trials: int
    as_of: datetime
    digest: str
    minutes: float | None = None
    seed: int = 7
    seeds: int = 1
    workers: int = 1
    threads: int = 1
    pruning: bool = True
    warm: Warm | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    patience: float = 300.0

    def document(self) -> dict[str, Any]:
        """Return what a worker elsewhere must know, for the study's attributes."""
        return {
            "usecase": self.usecase,
            "task": self.task,
            "entries": list(self.entries),
            "metric": self.metric,
            "trials": self.trials,
            "as_of": self.as_of.isoformat(),
            "digest": self.digest,
            "seed": self.seed,
            "pruning": self.pruning,
            "heartbeat": [self.heartbeat.interval, self.heartbeat.grace],
            "patience": self.patience,
        }


def read_plan(document: dict[str, Any], *, study: str, home: Path, threads: int) -> SearchPlan:
    """Read what `SearchPlan.document` wrote, for a worker with a home and threads of its own."""
    return SearchPlan(
        usecase=document["usecase"],
        study=study,
        task=document["task"],
        entries=tuple(document["entries"]),
        home=home,
        metric=document["metric"],
        trials=document["trials"],
        as_of=datetime.fromisoformat(document["as_of"]),
        digest=document["digest"],
        seed=document["seed"],
        pruning=document["pruning"],
        threads=threads,
        heartbeat=Heartbeat(*document["heartbeat"]),
        patience=document["patience"],
    )


def make_plan(
    usecase: UseCase,
    home: Path,
    dataset: Dataset,
    *,
    as_of: datetime,
    trials: int | None = None,
    warm: Warm | None = None,
) -> SearchPlan:
    """Resolve a use case's words into a plan.

    Args:
        usecase: What people wrote.
        home: The folder of its file.
        dataset: The encoded rows.
        as_of: Naive UTC.
        trials: Instead of the use case's number.
        warm: The champion's parameters; left out when the use case says so.

    Raises:
        SpecError: The task has no such metric.
    """
    train = usecase.train
    entries = train.families or DEFAULTS[usecase.task]
    cores = len(os.sched_getaffinity(0))
    return SearchPlan(
        usecase=usecase.name,
        study=study_name(usecase, home, as_of=as_of, digest=dataset.digest),
        task=usecase.task,
        entries=entries,
        home=home,
        metric=choose_metric(usecase.task, train.metric).name,
        trials=trials or train.trials,
        as_of=as_of,
        digest=dataset.digest,
        minutes=train.minutes,
        seed=train.seed,
        seeds=train.seeds,
        workers=train.workers,
        threads=train.threads or max(1, cores // train.workers),
        pruning=train.pruning,
        warm=warm if train.warm_start else None,
    )


def study_name(usecase: UseCase, home: Path, *, as_of: datetime, digest: str) -> str:
    """Name the study of a search: the same search on the same data as of the same time has the same name.

    How long it may take (`trials`, `minutes`), on how many processes, is not part of it: asked for more trials, it goes
    on where it stopped. `digest` covers the data, its split and its encoding.
    """
    train = usecase.train
    settings = {
        "data": digest,
        "families": [_identity(entry, home) for entry in train.families or DEFAULTS[usecase.task]],
        "metric": choose_metric(usecase.task, train.metric).name,
        "seed": train.seed,
        "pruning": train.pruning,
    }
    short = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return f"{usecase.name}/{as_of:%Y-%m-%dT%H:%M:%S}/{short}"


def _identity(entry: str, home: Path) -> str:
    if not entry.endswith(".py"):
        return entry
    try:
        return f"{entry} {hashlib.sha256((home / entry).read_bytes()).hexdigest()}"
    except OSError as fault:
        raise DataError(
            f"The family file {home / entry} cannot be read: {fault.strerror}. Correct train.families in usecase.yaml."
        ) from fault
