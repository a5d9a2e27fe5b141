"""Looks made of units: what was known at each of several times."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from deploy.experiments.adjusting import FOLDS
from deploy.experiments.looks import Look
from deploy.experiments.plan import Experiment
from deploy.experiments.sums import Sums
from deploy.experiments.units import Units

Sequences = dict[str, dict[str, tuple[Sums, ...]]]
DAY = timedelta(days=1)


def looks_of(plan: Experiment, units: Units, count: int) -> list[Look]:
    """Return so many looks, at times between which as many units come; one look where units have no times.

    The last one is at the units' `as_of`, or when the last of them came.
    """
    known = units.frame["known"].sort()
    if known.null_count() or (units.as_of is None and known.is_empty()):
        return [look_at(plan, units, None)]
    if units.as_of is not None:
        known = known.filter(known <= units.as_of)
    last = units.as_of if units.as_of is not None else known[-1]
    places = {round((number + 1) * (len(known) - 1) / count) for number in range(count)} if len(known) else set()
    return list(_cumulative(plan, units, [*sorted({known[place] for place in places} - {last}), last]))


def look_at(plan: Experiment, units: Units, at: datetime | None) -> Look:
    """Return the look that holds all that was known at a time (naive UTC), or all there is."""
    frame = units.frame if at is None else units.frame.filter(pl.col("time") <= at)
    measured = frame if at is None else frame.filter(pl.col("known") <= at)
    return _look(plan, units, at, frame, sums_of(plan, measured))


def sums_of(plan: Experiment, frame: pl.DataFrame) -> Sequences:
    """Sum units up by metric, arm and fold."""
    arms, folds = frame["arm"].to_numpy(), fold_of(frame["unit"])
    covariates = frame["covariate"].to_numpy()
    found: Sequences = {}
    for name in plan.columns():
        values = frame[f"m:{name}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        there = np.isfinite(values)
        found[name] = {}
        for arm in plan.shares:
            chosen = [there & (arms == arm) & (folds == fold) for fold in range(FOLDS)]
            found[name][arm] = tuple(Sums.of(values[one], covariates[one]) for one in chosen)
    return found


def fold_of(units: pl.Series) -> npt.NDArray[np.int64]:
    """Return each unit's fold (0 or 1): a fair coin by its name, which has nothing to do with that of its arm."""
    digests = (hashlib.blake2b(unit.encode(), digest_size=1, person=b"fold").digest()[0] for unit in units)
    return np.fromiter(digests, dtype=np.int64, count=len(units)) % FOLDS


def _cumulative(plan: Experiment, units: Units, moments: Sequence[datetime]) -> Iterator[Look]:
    """Add up what came between the moments, so that each unit is summed once."""
    total: Sequences | None = None
    before: datetime | None = None
    for at in moments:
        newly = pl.col("known") <= at
        if before is not None:
            newly &= pl.col("known") > before
        piece = sums_of(plan, units.frame.filter(newly))
        total = piece if total is None else _plus(total, piece)
        before = at
        yield _look(plan, units, at, units.frame.filter(pl.col("time") <= at), total)


def _plus(left: Sequences, right: Sequences) -> Sequences:
    return {
        name: {
            arm: tuple(one.plus(more) for one, more in zip(folds, right[name][arm], strict=True))
            for arm, folds in by_arm.items()
        }
        for name, by_arm in left.items()
    }


def _look(plan: Experiment, units: Units, at: datetime | None, assigned: pl.DataFrame, sums: Sequences) -> Look:
    counted = dict(assigned.group_by("arm").len().iter_rows())
    doubled = units.contaminated if at is None else units.contaminated.filter(units.contaminated <= at)
    start = plan.begin or units.frame["time"].min()
    days = (at - start) / DAY if at is not None and isinstance(start, datetime) else None
    return Look(at, days, {arm: int(counted.get(arm, 0)) for arm in plan.shares}, sums, len(doubled))
