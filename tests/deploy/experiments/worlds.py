"""Experiments made by a seeded generator: plans, tables of units, and looks at growing numbers of units."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from deploy.experiments.documents import parse_plan
from deploy.experiments.looks import Look
from deploy.experiments.plan import Experiment
from deploy.experiments.sums import Floats, Sums

START = datetime(2026, 3, 1)
HALF = {"champion": 50.0, "challenger": 50.0}


def document(**parts: Any) -> dict[str, Any]:
    """Return a plan of revenue over two equal arms, with other parts as given."""
    metric = {"name": "revenue", "measure": {"kind": "revenue", "cap": 1000}}
    control = next(iter(parts.get("shares", HALF)))
    return {"name": "ranker", "metric": metric, "shares": HALF, "control": control, "minimum_units": 100, **parts}


def plan(**parts: Any) -> Experiment:
    """Return it, checked."""
    return parse_plan(document(**parts), "The plan")


def table(units: int, lift: float = 0.0, *, seed: int = 7, arms: Sequence[str] = tuple(HALF)) -> pl.DataFrame:
    """Return a table of units that come over two weeks; the last arm's mean is `lift` above the others' 14."""
    generator = np.random.default_rng(seed)
    place = generator.integers(0, len(arms), units)
    before = generator.gamma(2, 5, units)
    value = 0.8 * before + generator.gamma(2, 3, units) + lift * (place == len(arms) - 1)
    moments = np.sort(generator.random(units)) * 14 * 86_400
    return pl.DataFrame(
        {
            "unit": [f"u{number}" for number in range(units)],
            "arm": [arms[index] for index in place],
            "value": value,
            "covariate": before,
            "time": [START + timedelta(seconds=float(second)) for second in moments],
            "latency_ms": generator.gamma(20, 2.5, units),
        }
    )


def looks(values: Floats, covariates: Floats, arms: Floats, ends: Sequence[int]) -> list[Look]:
    """Return looks after so many units each; all of shape (n_units,), arms as 0 for the champion and 1."""
    folds = np.arange(len(values)) % 2
    total = {arm: (Sums(), Sums()) for arm in HALF}
    found, begin = [], 0
    for end in ends:
        for number, arm in enumerate(HALF):
            chosen = (slice(begin, end), arms[begin:end] == number)
            pieces = []
            for fold in range(2):
                there = chosen[1] & (folds[begin:end] == fold)
                pieces.append(total[arm][fold].plus(Sums.of(values[begin:end][there], covariates[begin:end][there])))
            total[arm] = (pieces[0], pieces[1])
        units = {arm: sum(fold.count for fold in parts) for arm, parts in total.items()}
        found.append(Look(None, None, units, {"revenue": dict(total)}))
        begin = end
    return found
