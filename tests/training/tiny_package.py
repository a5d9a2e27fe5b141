"""Package parts of a small problem of each task, without a search: shared by the tests of what is packaged."""

import textwrap
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel

from flywheel.contract import Column, ColumnType, Contract, outputs_of
from flywheel.package import Lineage
from flywheel.usecase import Task, UseCase, load_usecase
from training.data.encoding import code_labels, make_columns
from training.data.features import load_features
from training.data.frame_digest import fingerprint
from training.families.catalogue import choose_families
from training.families.protocol import FitData
from training.packaging.blocks import reference_blocks
from training.packaging.lineage import file_digest, package_versions, python_version, span
from training.packaging.model_code import encode, predict_matrix
from training.packaging.package import PackageParts
from training.packaging.reference import TestRows, predicted

START = datetime(2024, 1, 1)
ROWS, TEST = 600, 200
CLASSES = ("calm", "keen", "wild")
TYPES: dict[str, tuple[ColumnType, bool]] = {
    "at": ("datetime", False),
    "size": ("double", True),
    "count": ("long", True),
    "rank": ("long", False),
    "colour": ("string", True),
    "flag": ("boolean", True),
    "sure": ("boolean", False),
}
FEATURES = """
    import polars as pl

    def features(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(
            "size", "count", "colour", "flag", "sure",
            rank=pl.col("rank") * 2, hour=pl.col("at").dt.hour(),
            shape=pl.col("colour") + pl.lit("-") + pl.col("flag").cast(pl.String),
        )
"""
SPEC = """
    name: tiny
    task: {task}
    data:
      source: {{kind: parquet, path: rows.parquet}}
      entity: key
      event_time: at
      label: {{column: label, available_after: 1d}}
    train: {{validation: 5d}}
"""


class NoProfile(BaseModel):
    """Stands for the profile of the data."""

    rows: int = ROWS


def tiny_rows(task: Task, rows: int = ROWS) -> pl.DataFrame:
    """Make hourly rows with every type of input, each with missing values, and a label that follows some of them."""
    random = np.random.default_rng(3)
    size, count = random.normal(size=rows), random.integers(0, 9, size=rows)
    colour, flag = random.choice(["red", "green", "blue", "grün|x"], size=rows), random.random(rows) < 0.4
    pull = 1.5 * size + (colour == "red") + flag + 0.2 * count + random.normal(size=rows) - 1
    label: dict[Task, Any] = {
        "binary": (pull > 0).astype(np.int8),
        "multiclass": np.asarray(CLASSES)[np.digitize(pull, [-0.5, 1.0])],
        "regression": pull * 40 + 300,
    }
    frame = pl.DataFrame(
        {
            "key": [f"k{i}" for i in range(rows)],
            "at": [START + timedelta(hours=i) for i in range(rows)],
            "size": size,
            "count": count,
            "rank": random.integers(0, 5, size=rows),
            "colour": colour,
            "flag": flag,
            "sure": random.random(rows) < 0.5,
            "label": label[task],
        }
    ).with_columns(pl.col("at").cast(pl.Datetime("us")))
    gaps = {"size": 11, "count": 13, "colour": 17, "flag": 7}
    place = pl.int_range(pl.len())
    return frame.with_columns(pl.when(place % gap != 0).then(name).alias(name) for name, gap in gaps.items())


def write_usecase(home: Path, task: Task) -> Path:
    """Write usecase.yaml, features.py and rows.parquet; return the first's path."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "features.py").write_text(textwrap.dedent(FEATURES))
    tiny_rows(task).write_parquet(home / "rows.parquet")
    (home / "usecase.yaml").write_text(textwrap.dedent(SPEC.format(task=task)))
    return home / "usecase.yaml"


def tiny_contract(task: Task, threshold: float | None = None) -> Contract:
    """Return the contract of the tiny rows."""
    return Contract(
        columns=tuple(Column(name=name, type=kind, nullable=gaps) for name, (kind, gaps) in TYPES.items()),
        event_time="at",
        entity="key",
        outputs=outputs_of(task, CLASSES if task == "multiclass" else (), has_threshold=threshold is not None),
    )


def tiny_parts(
    home: Path,
    task: Task = "binary",
    family: str = "hist_gradient_boosting",
    *,
    calibration: Mapping[str, Any] | None = None,
    threshold: float | None = None,
    evaluation: Mapping[str, Any] | None = None,
    trees: int = 20,
) -> PackageParts:
    """Fit a family on the tiny rows and gather the parts of its package."""
    path = write_usecase(home, task)
    usecase, rows, contract = load_usecase(path), tiny_rows(task), tiny_contract(task, threshold)
    inputs = rows.select(*TYPES)
    features = load_features(home / "features.py")(inputs)
    columns = make_columns(features)
    label, classes = code_labels(rows["label"], task)
    (chosen,) = choose_families((family,), task, home)
    params = {**chosen.defaults(task), **({"trees": trees} if "linear" not in family and family != "logistic" else {})}
    data = FitData(
        matrix=encode(features, columns.document()),
        label=label,
        columns=columns,
        task=task,
        n_classes={"binary": 2, "multiclass": 3, "regression": 0}[task],
        seed=7,
        threads=1,
    )
    fitted = chosen.fit(params, data)
    test = slice(ROWS - TEST, ROWS)
    tested = TestRows(inputs[test], label[test], predict_matrix(fitted.model, data.matrix[test], task))
    answers = inputs[test].select("at").with_columns(predicted(tested.prediction, task, classes))
    return PackageParts(
        usecase=usecase,
        usecase_path=path,
        contract=contract,
        lineage=tiny_lineage(usecase, path, rows, chosen.name, chosen.flavor, dict(fitted.params)),
        columns=columns,
        classes=classes,
        model=fitted.model,
        flavor=chosen.flavor,
        calibration=calibration or {"method": "none"},
        threshold=threshold,
        test=tested,
        features=features[test],
        evaluation=evaluation or {},
        checks_html="<p>All rows keep the contract.</p>",
        data_profile=NoProfile(),
        blocks=reference_blocks(rows, contract, usecase, answers),
        lock="mlflow==3.17.2\n",
        plots={},
    )


def tiny_lineage(
    usecase: UseCase, path: Path, rows: pl.DataFrame, family: str, flavor: str, params: dict[str, Any]
) -> Lineage:
    """Say where the tiny version comes from."""
    printed = fingerprint(rows)
    return Lineage(
        usecase=usecase.name,
        as_of=datetime(2024, 3, 1),
        trained_at=datetime(2024, 3, 1, 12),
        run_id="run",
        study="tiny/1",
        trials=3,
        seed=7,
        family=family,
        params=params,
        data_digest=printed.digest,
        data_rows=printed.rows,
        columns=dict(printed.columns),
        usecase_digest=file_digest(path),
        source_digest="",
        features_digest=file_digest(path.parent / "features.py"),
        git_commit=None,
        git_dirty=None,
        python=python_version(),
        packages=package_versions(),
        version="1.0.0",
        flavor=flavor,
        usecase_path=str(path),
        source={"kind": "parquet", "place": "rows.parquet"},
        parts={"train": span(rows[:400], "at"), "test": span(rows[400:], "at")},
    )
