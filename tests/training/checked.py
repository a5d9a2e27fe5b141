"""Rows of a small use case as a source hands them to the checks, and the check itself with defaults."""

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from flywheel.contract import Contract, outputs_of
from flywheel.profile import DataProfile
from flywheel.usecase import UseCase, parse_usecase
from training.checks.check import check_data
from training.checks.contract import contract_from_rows
from training.checks.finding import CheckResult
from training.checks.profiling import profile_data

START = np.datetime64("2024-01-01", "us")
AS_OF = datetime(2024, 12, 31)
HOUR = 3_600_000_000


def usecase_of(**checks: Any) -> UseCase:
    """Make a use case with these checks."""
    data = {
        "source": {"kind": "parquet", "path": "rows.parquet"},
        "entity": "key",
        "event_time": "at",
        "label": {"column": "good"},
    }
    return parse_usecase({"name": "checked", "data": data, "checks": checks}, "usecase.yaml")


def rows_of(days: int = 40, per_day: int = 24, *, seed: int = 1, first_day: int = 0) -> pl.DataFrame:
    """Make `days` × `per_day` rows at equal distances: numbers (two go together), text, a boolean."""
    random = np.random.default_rng(seed)
    n = days * per_day
    size = random.normal(10, 2, n)
    at = START + np.timedelta64(first_day, "D") + np.arange(n) * (24 * HOUR // per_day)
    return pl.DataFrame(
        {
            "at": at,
            "key": [f"k{first_day}-{index}" for index in range(n)],
            "size": size,
            "weight": size + random.normal(0, 0.5, n),
            "colour": random.choice(["red", "green", "blue"], n),
            "new": random.random(n) < 0.3,
            "count": random.integers(0, 100, n),
            "good": random.integers(0, 2, n),
        }
    )


def contract_of(frame: pl.DataFrame, usecase: UseCase) -> Contract:
    """Make the contract of the frame's inputs."""
    return contract_from_rows(frame.drop("key", "good"), usecase, outputs_of("binary"))


def check(frame: pl.DataFrame, last: DataProfile | None = None, **checks: Any) -> CheckResult:
    """Check a frame under a use case with these checks."""
    usecase = usecase_of(**checks)
    return check_data(frame, usecase, contract_of(frame, usecase), as_of=AS_OF, last=last)


def profile_of(frame: pl.DataFrame) -> DataProfile:
    """Profile a frame's inputs."""
    return profile_data(frame, contract_of(frame, usecase_of()), "at")
