"""A use case small enough to train in a second: its signal is real, so that models can be told apart from chance."""

import os
import textwrap
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin crawl on a busy machine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
    import mlflow.pyfunc  # noqa: F401

START = datetime(2024, 1, 1)
FEATURES = """
    import polars as pl

    def features(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select("size", "colour", double=pl.col("size") * 2, hour=pl.col("at").dt.hour())
"""
SPEC = """
    name: tiny
    data:
      source: {kind: csv, path: rows.csv}
      entity: key
      event_time: at
      label: {column: good, available_after: 1d}
    train: {trials: 3, validation: 5d, until: 2024-02-01T00:00:00}
"""


def tiny_rows(rows: int = 900) -> pl.DataFrame:
    """Make hourly rows whose label follows size and colour."""
    random = np.random.default_rng(3)
    size = random.normal(size=rows)
    colour = random.choice(["red", "green", "blue"], size=rows)
    chance = 1 / (1 + np.exp(-(1.5 * size + (colour == "red"))))
    return pl.DataFrame(
        {
            "key": [f"k{i}" for i in range(rows)],
            "at": [START + timedelta(hours=i) for i in range(rows)],
            "size": [None if i % 50 == 0 else value for i, value in enumerate(size.tolist())],
            "count": random.integers(0, 9, size=rows),
            "colour": colour,
            "good": (random.random(rows) < chance).astype(int),
        }
    )


@pytest.fixture
def write_usecase(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes usecase.yaml, features.py and rows.csv, and returns the first's path."""

    def write(*, spec: str = SPEC, features: str = FEATURES, rows: pl.DataFrame | None = None) -> Path:
        (tmp_path / "features.py").write_text(textwrap.dedent(features))
        (tiny_rows() if rows is None else rows).write_csv(tmp_path / "rows.csv")
        path = tmp_path / "usecase.yaml"
        path.write_text(textwrap.dedent(spec))
        return path

    return write
