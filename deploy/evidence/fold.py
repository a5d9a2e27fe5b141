"""What becomes known with the new rows of a rollout, and what waits after them: a fold over the log. Pure.

A record becomes an answer when the gateway's line says that a client got it. An outcome becomes known when its answer
is there too, and a shadow's record makes a pair with the champion's answer to the same request. Each of these happens
once, whichever of the two the log took first; so many looks make of the same rows what one look over all of them makes.
"""

from dataclasses import dataclass, replace

import polars as pl

from deploy.evidence.arms import BASELINE, CHAMPION, OTHER, side_of
from deploy.evidence.learning import learn
from deploy.evidence.mirrored import attempted, paired, shadows_of
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.reader import Rows, outputs_of
from deploy.evidence.waiting import KEY, Waiting
from flywheel.meeting import MANY, joined

# Of an answer, while it waits for its outcome.
KEPT = ("side", "model_version", "many", "prediction_id", "entity", "event_time", "recorded_time")


@dataclass(frozen=True)
class Fresh:
    """What became known with the new rows.

    Args:
        learned: Answers with `side`, `key`, `outcome` and `label`, of units that have not counted before.
        pairs: The champion's answers with what the shadow made of the same row.
        attempted: Requests that both were given: whether the champion's `failed`, and whether `shadow.failed`.
        judged: Pairs with `outcome` and `label`.
    """

    learned: pl.DataFrame
    pairs: pl.DataFrame
    attempted: pl.DataFrame
    judged: pl.DataFrame


def fold(plan: EvidencePlan, before: Waiting, rows: Rows) -> tuple[Fresh, Waiting]:
    """Take in the rows of one look; return what became known, and what waits now."""
    shadows, lines = shadows_of(plan, rows)
    answers, waiting = _delivered(plan, before, rows)
    pairs, waiting = paired(waiting, answers if plan.shadow else answers.clear(), shadows)
    both, waiting = attempted(waiting, lines, shadows)
    learned, waiting = _learned(plan, waiting, answers, rows.outcomes)
    judged, waiting = _judged(plan, waiting, pairs, learned)
    once, waiting = _once(plan, waiting, learned)
    return Fresh(once, pairs, both, judged), waiting.having_seen(rows).without_late(plan)


def _delivered(plan: EvidencePlan, before: Waiting, rows: Rows) -> tuple[pl.DataFrame, Waiting]:
    """Find the records that clients got; where nothing is asked of them, nothing waits."""
    asked = plan.learns or plan.shadow
    records, lines = (rows.records, rows.lines) if asked else (rows.records.clear(), rows.lines.clear())
    scored = records.filter((pl.col("status") == "scored") & pl.col("arm").is_in([CHAMPION, plan.arm]))
    fine = lines.filter(pl.col("code").is_between(200, 299))
    fine = fine.select("request_id", pl.col("attempts").cast(pl.Int16).alias("attempt"), "time")
    answers, meeting = before.delivered.take(scored.with_columns(side=side_of(plan)), fine)
    several = pl.len().over("request_id", "attempt") > 1
    return answers.drop("time").with_columns(many=several), replace(before, delivered=meeting)


def _learned(
    plan: EvidencePlan, before: Waiting, answers: pl.DataFrame, outcomes: pl.DataFrame
) -> tuple[pl.DataFrame, Waiting]:
    unit = pl.coalesce("unit", "request_id") if plan.sticky else pl.col("request_id")
    fresh = answers.select(unit.alias(KEY), pl.lit(value=False).alias("known"), *KEPT, *outputs_of(answers))
    if not plan.learns:
        return fresh.clear().with_columns(outcome=pl.lit(0.0), label=pl.lit("")), before
    every = joined(before.answers, fresh)
    waiting = outcomes.clear() if before.outcomes is None else before.outcomes
    found = learn(every, fresh.height, waiting, outcomes, plan.horizon)
    left = _without_done(every.with_columns(found.known))
    return found.learned, replace(before, answers=left, outcomes=found.waiting)


def _without_done(answers: pl.DataFrame) -> pl.DataFrame:
    """Let go of answers that have their outcome, once there are many; an entity's still tells which answer was last."""
    done = answers["known"] & answers["entity"].is_null()
    return answers.filter(~done) if done.sum() * MANY > answers.height else answers


def _judged(
    plan: EvidencePlan, before: Waiting, pairs: pl.DataFrame, learned: pl.DataFrame
) -> tuple[pl.DataFrame, Waiting]:
    said = learned.filter(pl.col("side") == BASELINE) if plan.shadow else learned.clear()
    said = said.select("prediction_id", "outcome", "label", learned_time="recorded_time")
    judged, meeting = before.judged.take(pairs if plan.learns else pairs.clear(), said)
    return judged, replace(before, judged=meeting)


def _once(plan: EvidencePlan, before: Waiting, learned: pl.DataFrame) -> tuple[pl.DataFrame, Waiting]:
    """Leave only units that have not counted; of a request with one row nothing need be remembered."""
    ours = learned.filter(pl.col("side") != OTHER)
    fresh = ours.filter(~before.counted.has(ours[KEY]))
    again = fresh if plan.sticky else fresh.filter(pl.col("many"))
    return fresh, replace(before, counted=before.counted.with_names(again[KEY].unique()))
