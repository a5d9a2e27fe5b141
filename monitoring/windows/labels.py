"""Outcomes of the span whose labels may still change, joined anew at each update: the rule is `join_outcomes` itself.

Only keys and times are read for it, of rows that came since the span began: an update costs what the span costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from flywheel.position import Position
from flywheel.profiling.block import Block
from flywheel.profiling.series import Series
from flywheel.profiling.watched import LABEL
from flywheel.records import LOGGED_OUTCOMES, answered, join_outcomes
from flywheel.serving import SAFE_DEFAULT
from flywheel.usecase import Task
from monitoring.windows.claims import Claims, claims_of
from monitoring.windows.deliveries import LINE
from monitoring.windows.keys import Key, by_key
from monitoring.windows.lens import Lens, Lenses
from monitoring.windows.reading import Reader

RECORD = (
    "request_id",
    "attempt",
    "row",
    "prediction_id",
    "event_time",
    "recorded_time",
    "model_version",
    "arm",
    "entity",
    "status",
)
OUTCOME = tuple(LOGGED_OUTCOMES.names)
# What of an outcome tells a task's label.
SAID: dict[Task, pl.Expr] = {
    "binary": pl.col("outcome"),
    "multiclass": pl.col("label"),
    "regression": pl.col("outcome"),
}


@dataclass(frozen=True)
class Labels:
    """What is known of the open span: the labels by version and arm, and what is odd about the reports."""

    series: dict[Key, Series]
    claims: Claims


def read_labels(reader: Reader, lenses: Lenses, *, since: Position, until: Position, as_of: datetime) -> Labels:
    """Join the outcomes known by `as_of` (naive UTC) with the answers logged between two positions.

    Raises:
        StackError: The log cannot be read.
    """
    if not until.outcomes:  # nobody has ever reported one
        return Labels({}, Claims())
    records = reader.rows("predictions", RECORD, since.predictions, until.predictions)
    lines = reader.rows("requests", LINE, since.requests, until.requests)
    outcomes = reader.rows("outcomes", OUTCOME, since.outcomes, until.outcomes)
    given = answered(records, lines).filter(pl.col("answered"))
    series: dict[Key, Series] = {}
    known = {version: lens for version in given["model_version"].unique() if (lens := lenses(version)) is not None}
    for task in {lens.task for lens in known.values()}:  # one, unless the use case was changed
        series |= _of_task(task, known, join_outcomes(given, outcomes.filter(SAID[task].is_not_null()), as_of))
    return Labels(series, claims_of(outcomes, given))


def _of_task(task: Task, lenses: Mapping[str, Lens], joined: pl.DataFrame) -> dict[Key, Series]:
    """Profile the labels of the versions of one task; reports that tell no outcome of it have joined nothing."""
    known = joined.filter(SAID[task].is_not_null() & (pl.col("model_version") != SAFE_DEFAULT))
    return {
        key: lenses[key.version].labelled(rows)
        for key, rows in by_key(known)
        if key.version in lenses and lenses[key.version].task == task
    }


def relabelled(block: Block, label: Block | None) -> Block:
    """Return the block with these labels instead of those it had; None: it has none."""
    bare = replace(
        block,
        columns={name: column for name, column in block.columns.items() if name != LABEL},
        numbers={name: scores for name, scores in block.numbers.items() if name != LABEL},
        categories={name: scores for name, scores in block.categories.items() if name != LABEL},
    )
    return bare if label is None else bare.beside(label)


def same_labels(block: Block, label: Block | None) -> bool:
    """Say whether a block has these labels already, as far as scores tell."""
    known, new = block.columns.get(LABEL), None if label is None else label.columns[LABEL]
    if known is None or new is None or label is None:
        return known is new
    if known.categories is not None and new.categories is not None:
        return known.categories.counts == new.categories.counts
    scores, others = block.numbers.get(LABEL), label.numbers.get(LABEL)
    if scores is None or others is None:  # without a scale there is nothing to compare but sketches that are drawn
        return False
    return bool((scores.counts == others.counts).all())
