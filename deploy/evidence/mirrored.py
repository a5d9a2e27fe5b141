"""The shadow's records beside what the champion made of the same requests. Pure."""

from dataclasses import replace

import polars as pl

from deploy.evidence.arms import BASELINE, CHAMPION, MIRRORED, failed
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.reader import Rows, outputs_of
from deploy.evidence.waiting import SHADOW, Waiting


def paired(before: Waiting, answers: pl.DataFrame, shadows: pl.DataFrame) -> tuple[pl.DataFrame, Waiting]:
    """Return the champion's answers with the shadow's outputs and latency for the same row."""
    outputs = outputs_of(answers)
    told = ("recorded_time", "latency_ms", *outputs)
    theirs = answers.filter(pl.col("side") == BASELINE)
    theirs = theirs.select("request_id", "row", "prediction_id", "recorded_time", "latency_ms", *outputs)
    ours = shadows.filter(pl.col("status") == "scored")
    ours = ours.select("request_id", "row", *(pl.col(name).alias(SHADOW + name) for name in told))
    pairs, meeting = before.paired.take(theirs, ours)
    return pairs, replace(before, paired=meeting)


def attempted(before: Waiting, lines: pl.DataFrame, shadows: pl.DataFrame) -> tuple[pl.DataFrame, Waiting]:
    """Return the requests that both were given: whether the champion's `failed`, and whether `shadow.failed`."""
    theirs = lines.filter(pl.col("arm") == CHAMPION).select("request_id", "time", failed=failed())
    at, wrong = pl.col("recorded_time").alias(f"{SHADOW}recorded_time"), pl.col("status") != "scored"
    ours = shadows.filter(pl.col("row") == 0).select("request_id", at, wrong.alias(f"{SHADOW}failed"))
    both, meeting = before.attempted.take(theirs, ours)
    return both, replace(before, attempted=meeting)


def shadows_of(plan: EvidencePlan, rows: Rows) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the shadow's records and all lines; none of either where the plan has no shadow, so that nothing waits."""
    if not plan.shadow:
        return rows.records.clear(), rows.lines.clear()
    mirrored = (pl.col("arm") == MIRRORED) & (pl.col("model_version") == plan.challenger)
    return rows.records.filter(mirrored), rows.lines
