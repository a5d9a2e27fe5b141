"""How far back losses are judged: longer where rows are few, and from the same day on at looks that follow each other.

A test that begins a day later at each look learns anew what is usual at each, and so has a new chance to be wrong each
day. Begins on a grid make most looks go on with the test of the look before.
"""

from datetime import datetime, timedelta

import polars as pl

from flywheel.package import ModelPackage
from monitoring.performance.estimation import known_rows

MEMORY = timedelta(days=180)  # what a use case has forgotten costs it nothing
LONG_MEMORY = timedelta(days=1080)  # where MEMORY holds fewer rows than FEW
FEW = 5_000  # as many as a package keeps of its test rows
STEPS = 3  # begins lie a third of the memory apart
ORIGIN = datetime(1970, 1, 1)


def begin_of(as_of: datetime, memory: timedelta) -> datetime:
    """Return from when on losses are judged (naive UTC): the first begin on the grid within the memory."""
    step = memory / STEPS
    return ORIGIN - step * ((ORIGIN - (as_of - memory)) // step)


def unseen_rows(version: str, package: ModelPackage) -> pl.DataFrame | None:
    """Return a version's test rows with `event_time` and `loss`, as the model that had not seen them answered.

    Of many rows the package keeps a sample: its days are noisier than live ones, which makes the test more careful, not
    less. None for several classes, whose probabilities it does not keep.
    """
    if package.usecase.task == "multiclass":
        return None
    known = known_rows(version, pl.read_parquet(package.reference), package.usecase.task)
    return known.select(pl.col(package.contract.event_time).alias("event_time"), "loss")
