"""A dataset on disk that is fitted in a blink, with a signal that every family finds."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from flywheel.usecase import Task, UseCase, parse_usecase
from training.data.dataset import Dataset
from training.data.encoding import write_dataset
from training.data.split import Split, split
from training.search.plan import Heartbeat, SearchPlan, make_plan

START = datetime(2024, 1, 1)
AS_OF = datetime(2024, 6, 1)


def usecase(task: Task = "binary", data: dict[str, Any] | None = None, **train: Any) -> UseCase:
    """Make a use case: hourly rows, labels known after an hour, two days of validation and of test."""
    label = {"column": "y", "available_after": "1h"}
    source = {"source": {"kind": "csv", "path": "rows.csv"}, "event_time": "at", "label": label}
    document = {"name": "tiny", "task": task, "data": source | (data or {}), "train": {"validation": "3d"} | train}
    return parse_usecase(document, "test")


def rows(task: Task = "binary", count: int = 500) -> pl.DataFrame:
    """Make hourly rows: the label follows `x` and one colour; some values are missing."""
    random = np.random.default_rng(3)
    x = random.normal(size=count)
    colour = random.choice(["red", "green", "blue"], size=count)
    hidden = 1.5 * x + (colour == "red") + random.normal(size=count)
    labels = {
        "binary": (hidden > 0).astype(int).tolist(),
        "multiclass": np.array(["low", "mid", "top"])[np.digitize(hidden, [-1, 1])].tolist(),
        "regression": hidden.tolist(),
    }
    return pl.DataFrame(
        {
            "at": [START + timedelta(hours=i) for i in range(count)],
            "x": [None if i % 17 == 0 else value for i, value in enumerate(x.tolist())],
            "noise": random.normal(size=count),
            "colour": [None if i % 23 == 0 else str(value) for i, value in enumerate(colour)],
            "flag": (x > 0.5).tolist(),
            "y": labels[task],
        },
        schema_overrides={"at": pl.Datetime("us")},
    )


def parts(case: UseCase, count: int = 500) -> Split:
    """Split those rows."""
    return split(rows(case.task, count), case, AS_OF)


def write(folder: Path, case: UseCase, count: int = 500) -> Dataset:
    """Write the dataset of those rows."""
    made = parts(case, count)
    features = made.rows.select("x", "noise", "colour", "flag")
    return write_dataset(folder / "dataset", features, made, case.task, half_life=case.train.half_life)


def planned(folder: Path, case: UseCase, dataset: Dataset, **changes: Any) -> SearchPlan:
    """Plan a search with the shortest heartbeat that Optuna knows."""
    plan = make_plan(case, folder, dataset, as_of=AS_OF)
    return SearchPlan(**{**vars(plan), "threads": 1, "heartbeat": Heartbeat(1, 2), **changes})
