"""What the model's whole path does when an input is missing, noisy, or a category that it never saw."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from flywheel.statistics import Floats
from training.evaluation.bootstrap import Bootstrap
from training.evaluation.report import Disturbance, Interval
from training.evaluation.subject import Subject
from training.metrics import row_losses

MOST_ROWS = 2000
NOISE = 0.25  # standard deviations
UNSEEN = "(a value never seen)"


def disturb(subject: Subject, bootstrap: Bootstrap) -> tuple[Disturbance, ...]:
    """Disturb one input after the other in a sample of the test rows; the worst first.

    The event time is left alone: no request can lack it.
    """
    random = np.random.default_rng(subject.seed)
    rows = np.sort(random.permutation(len(subject.label))[:MOST_ROWS])
    inputs, label, part = subject.inputs[rows], subject.label[rows], bootstrap.part(rows)
    before = row_losses(subject.task, label, subject.prediction[rows])
    found = [
        _measure(subject, changed, (column.name, kind), (label, before), part)
        for column in inputs
        if column.name != subject.event_time
        for kind, changed in _disturbances(inputs, column, random)
    ]
    return tuple(sorted(found, key=lambda item: (not item.fault, -(item.rise.value or 0.0))))


def _disturbances(
    inputs: pl.DataFrame, column: pl.Series, random: np.random.Generator
) -> Iterator[tuple[str, pl.DataFrame]]:
    if column.null_count() < len(column):
        yield "missing", inputs.with_columns(pl.lit(None, dtype=column.dtype).alias(column.name))
    if column.dtype == pl.String:
        yield "unseen category", inputs.with_columns(pl.lit(UNSEEN).alias(column.name))
    if column.dtype.is_numeric():
        spread = column.cast(pl.Float64).fill_nan(None).std()
        if isinstance(spread, float) and spread > 0:
            noise = pl.Series(random.normal(scale=NOISE * spread, size=len(column)))
            noisy = column.cast(pl.Float64) + (noise.round() if column.dtype.is_integer() else noise)
            yield f"noise of {NOISE:g} sd", inputs.with_columns(noisy.cast(column.dtype).alias(column.name))


def _measure(
    subject: Subject,
    changed: pl.DataFrame,
    what: tuple[str, str],
    known: tuple[Floats, Floats],
    bootstrap: Bootstrap,
) -> Disturbance:
    (column, kind), (label, before) = what, known
    try:
        losses = row_losses(subject.task, label, subject.predict(changed))
    except Exception as fault:  # noqa: BLE001  # features are the user's code, and that it raises is the finding
        text = f"{type(fault).__name__}: {fault}"[:300]
        return Disturbance(column=column, kind=kind, rows=len(label), loss=None, rise=Interval(value=None), fault=text)
    rise = bootstrap.mean(losses - before)
    return Disturbance(column=column, kind=kind, rows=len(label), loss=float(losses.mean()), rise=rise)
