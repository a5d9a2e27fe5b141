"""Outcomes of the span whose labels may still change, joined anew at each update: the rule is `join_outcomes` itself.

Only keys and times are read for it, of rows that came since the span began: an update costs what the span costs.
"""

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
from monitoring.windows.lens import Lenses
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


@dataclass(frozen=True)
class Labels:
    """What is known of the open span: the labels by version and arm, and what is odd about the reports."""

    series: dict[Key, Series]
    claims: Claims


def read_labels(
    reader: Reader, task: Task, lenses: Lenses, *, since: Position, until: Position, as_of: datetime
) -> Labels:
    """Join the outcomes known by `as_of` (naive UTC) with the answers logged between two positions.

    Reports that tell no outcome of the task join nothing, as in a window that is read by hand.

    Raises:
        StackError: The log cannot be read.
    """
    if not until.outcomes:  # nobody has ever reported one
        return Labels({}, Claims())
    records = reader.rows("predictions", RECORD, since.predictions, until.predictions)
    lines = reader.rows("requests", LINE, since.requests, until.requests)
    outcomes = reader.rows("outcomes", OUTCOME, since.outcomes, until.outcomes)
    given = answered(records, lines).filter(pl.col("answered"))
    told = "label" if task == "multiclass" else "outcome"
    joined = join_outcomes(given, outcomes.filter(pl.col(told).is_not_null()), as_of)
    known = joined.filter(pl.col(told).is_not_null() & (pl.col("model_version") != SAFE_DEFAULT))
    series = {}
    for key, rows in by_key(known):
        lens = lenses(key.version)
        if lens is not None and lens.task == task:
            series[key] = lens.labelled(rows)
    return Labels(series, claims_of(outcomes, given))


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
