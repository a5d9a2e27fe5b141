"""All that a rollout's rows have left waiting, and what becomes known with new ones: a fold over the log. Pure.

A record becomes an answer when the gateway's line says that a client got it. An outcome becomes known when its answer
is there too, and a shadow's record makes a pair with the champion's answer to the same request. Each of these happens
once, whichever of the two the log took first; so many looks make of the same rows what one look over all of them makes.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl

from deploy.evidence.learning import learn
from deploy.evidence.meeting import Meeting, joined, kept_since, shared
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.reader import OUTPUT, Rows

# What is that much older than the log's newest rows has lost its other half with some process.
LATE = timedelta(minutes=10)
SHADOW = "shadow."
CANARY, BASELINE, OTHER = "canary", "baseline", "other"
# The arms as the gateway names them; the challenger's is the plan's.
CHAMPION, MIRRORED = "champion", "shadow"
KEY = "key"
# Of an answer, while it waits for its outcome.
KEPT = ("side", "model_version", "many", "prediction_id", "entity", "event_time", "recorded_time")
# Answers that are done are let go once they are more than one in so many.
MANY = 8
# Before the first look: by what the two sides meet, and since when a row of each waits.
DELIVERED = Meeting(("request_id", "attempt"), ("recorded_time", "time"), within=("row",))
PAIRED = Meeting(("request_id", "row"), ("recorded_time", f"{SHADOW}recorded_time"))
ATTEMPTED = Meeting(("request_id",), ("time", f"{SHADOW}recorded_time"))
JUDGED = Meeting(("prediction_id",), ("recorded_time", "learned_time"))


@dataclass(frozen=True)
class Waiting:
    """What waits, after some position of the log.

    Args:
        delivered: Scored records, and the lines of requests that clients got an answer to.
        paired: The champion's answers, and the shadow's records.
        attempted: The champion's lines, and the shadow's first rows, failed ones too.
        judged: Pairs, and the champion's answers with an outcome.
        answers: All within the horizon; `known` says which have their outcome.
        outcomes: Whose answer is not there yet.
        counted: Units (or requests of several rows) that have given their value.
        censored: The champion's and the challenger's answers that got no outcome within the horizon.
        seen: Newest time of records and of lines.
    """

    delivered: Meeting = DELIVERED
    paired: Meeting = PAIRED
    attempted: Meeting = ATTEMPTED
    judged: Meeting = JUDGED
    answers: pl.DataFrame | None = None
    outcomes: pl.DataFrame | None = None
    counted: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={KEY: pl.String}))
    censored: tuple[int, int] = (0, 0)
    seen: tuple[datetime | None, datetime | None] = (None, None)


@dataclass(frozen=True)
class Fresh:
    """What became known with the new rows; each answer has its `side`.

    Args:
        answers: Records that a client got.
        learned: Answers with `outcome` and `label`, of units that have not counted before.
        pairs: The champion's answers with what the shadow made of the same row.
        attempted: Requests that both were given: whether the champion's `failed`, and whether `shadow.failed`.
        judged: Pairs with `outcome` and `label`.
    """

    answers: pl.DataFrame
    learned: pl.DataFrame
    pairs: pl.DataFrame
    attempted: pl.DataFrame
    judged: pl.DataFrame


def fold(plan: EvidencePlan, before: Waiting, rows: Rows) -> tuple[Fresh, Waiting]:
    """Take in the rows of one look; return what became known, and what waits now."""
    records = rows.records.with_columns(side=side_of(plan))
    answers, waiting = _delivered(plan, before, records, rows.lines)
    pairs, attempted, waiting = _paired(plan, waiting, answers, rows)
    learned, waiting = _learned(plan, waiting, answers, rows.outcomes)
    said = learned.filter(pl.col("side") == BASELINE)
    said = said.select("prediction_id", "outcome", "label", learned_time="recorded_time")
    awaiting = pairs if plan.learns else pairs.clear()
    judged, meeting = waiting.judged.take(awaiting, said if plan.shadow else said.clear())
    once, counted = _once(plan, waiting.counted, learned)
    waiting = replace(waiting, judged=meeting, counted=counted, seen=_seen(before, rows))
    return Fresh(answers, once, pairs, attempted, judged), _without_late(plan, waiting)


def failed() -> pl.Expr:
    """Say of a line whether its request failed as it was randomised: at the first attempt, whatever came after it.

    A retry goes to another version, so that later attempts say nothing of the arm. 5xx is the service's fault, and so
    are the same of gRPC, whose code is 200.
    """
    grpc = pl.col("grpc_status").is_in(GRPC_FAULTS).fill_null(value=False)
    return (pl.col("attempts") > 1) | (pl.col("code") >= 500) | grpc


# UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
GRPC_FAULTS = (2, 4, 12, 13, 14, 15)


def side_of(plan: EvidencePlan) -> pl.Expr:
    """Name the side that a record is evidence of: an arm's answer by the other version, its fallback, is of neither."""
    arm, version = pl.col("arm"), pl.col("model_version")
    canary = (arm == plan.arm) & (version == plan.challenger)
    baseline = (arm == CHAMPION) & (version == plan.champion)
    return pl.when(canary).then(pl.lit(CANARY)).when(baseline).then(pl.lit(BASELINE)).otherwise(pl.lit(OTHER))


def _delivered(
    plan: EvidencePlan, before: Waiting, records: pl.DataFrame, lines: pl.DataFrame
) -> tuple[pl.DataFrame, Waiting]:
    """Find the records that clients got; where nothing is asked of them, nothing waits."""
    if not (plan.learns or plan.shadow):
        records, lines = records.clear(), lines.clear()
    scored = records.filter((pl.col("status") == "scored") & pl.col("arm").is_in([CHAMPION, plan.arm]))
    fine = lines.filter(pl.col("code").is_between(200, 299))
    fine = fine.select("request_id", pl.col("attempts").cast(pl.Int16).alias("attempt"), "time")
    answers, meeting = before.delivered.take(scored, fine)
    rows = pl.len().over("request_id", "attempt")
    return answers.drop("time").with_columns(many=rows > 1), replace(before, delivered=meeting)


def _paired(
    plan: EvidencePlan, before: Waiting, answers: pl.DataFrame, rows: Rows
) -> tuple[pl.DataFrame, pl.DataFrame, Waiting]:
    ours = rows.records.filter((pl.col("arm") == MIRRORED) & (pl.col("model_version") == plan.challenger))
    ours, lines = (ours, rows.lines) if plan.shadow else (ours.clear(), rows.lines.clear())
    outputs = [pl.col(name).alias(SHADOW + name) for name in ours.columns if name.startswith(OUTPUT)]
    told = [pl.col(name).alias(SHADOW + name) for name in ("recorded_time", "latency_ms")]
    shadows = ours.filter(pl.col("status") == "scored").select("request_id", "row", *told, *outputs)
    champions = answers.filter(pl.col("side") == BASELINE) if plan.shadow else answers.clear()
    pairs, paired = before.paired.take(champions, shadows)
    tried = ours.filter(pl.col("row") == 0)
    tried = tried.select("request_id", told[0], (pl.col("status") != "scored").alias(f"{SHADOW}failed"))
    lines = lines.filter(pl.col("arm") == CHAMPION).select("request_id", "time", failed=failed())
    attempted, meeting = before.attempted.take(lines, tried)
    return pairs, attempted, replace(before, paired=paired, attempted=meeting)


def _learned(
    plan: EvidencePlan, before: Waiting, answers: pl.DataFrame, outcomes: pl.DataFrame
) -> tuple[pl.DataFrame, Waiting]:
    unit = pl.coalesce("unit", "request_id") if plan.sticky else pl.col("request_id")
    outputs = [name for name in answers.columns if name.startswith(OUTPUT)]
    fresh = answers.select(unit.alias(KEY), pl.lit(value=False).alias("known"), *KEPT, *outputs)
    if not plan.learns:
        return fresh.clear().with_columns(outcome=pl.lit(0.0), label=pl.lit("")), before
    every = joined(before.answers, fresh)
    waiting = outcomes.clear() if before.outcomes is None else before.outcomes
    horizon = None if plan.horizon_seconds is None else timedelta(seconds=plan.horizon_seconds)
    found = learn(every, fresh.height, waiting, outcomes, horizon)
    left = _without_done(every.with_columns(found.known))
    return found.learned, replace(before, answers=left, outcomes=found.waiting)


def _without_done(answers: pl.DataFrame) -> pl.DataFrame:
    """Let go of answers that have their outcome, once there are many; an entity's still tells which answer was last."""
    done = answers["known"] & answers["entity"].is_null()
    return answers.filter(~done) if done.sum() * MANY > answers.height else answers


def _once(plan: EvidencePlan, counted: pl.DataFrame, learned: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Leave only units that have not counted; of a request with one row nothing need be remembered."""
    ours = learned.filter(pl.col("side") != OTHER)
    fresh = ours.join(shared(counted, ours, [KEY])[0], on=KEY, how="anti", maintain_order="left")
    again = fresh if plan.sticky else fresh.filter(pl.col("many"))
    return fresh, joined(counted, again.select(KEY).unique())


def _seen(before: Waiting, rows: Rows) -> tuple[datetime | None, datetime | None]:
    return _later(before.seen[0], rows.records["recorded_time"]), _later(before.seen[1], rows.lines["time"])


def _later(one: datetime | None, times: pl.Series) -> datetime | None:
    newest = times.max()
    return max((time for time in (one, newest) if isinstance(time, datetime)), default=None)


def _without_late(plan: EvidencePlan, waiting: Waiting) -> Waiting:
    """Let go of what will meet nothing any more, by the table of the log that is behind."""
    records, lines = waiting.seen
    if records is None or lines is None:
        return waiting
    begin = min(records, lines) - LATE
    horizon = None if plan.horizon_seconds is None else begin - timedelta(seconds=plan.horizon_seconds)
    return _censored(
        replace(
            waiting,
            delivered=waiting.delivered.since(begin, begin),
            paired=waiting.paired.since(begin, begin),
            attempted=waiting.attempted.since(begin, begin),
            judged=waiting.judged.since(horizon, begin),
            outcomes=kept_since(waiting.outcomes, "recorded_time", begin),
        ),
        horizon,
    )


def _censored(waiting: Waiting, begin: datetime | None) -> Waiting:
    """Count and let go of the answers that have got no outcome within the horizon."""
    answers = waiting.answers
    kept = kept_since(answers, "recorded_time", begin)
    if answers is None or kept is None or kept.height == answers.height:
        return waiting
    lost = [was - now for was, now in zip(_unknown(answers), _unknown(kept), strict=True)]
    baseline, canary = waiting.censored
    return replace(waiting, answers=kept, censored=(baseline + lost[0], canary + lost[1]))


def outcomes_shown(waiting: Waiting) -> dict[str, dict[str, int]]:
    """Return, by side, answers that wait for their outcome and those that are censored."""
    left = (0, 0) if waiting.answers is None else _unknown(waiting.answers)
    return {
        side: {"waiting": left[place], "censored": waiting.censored[place]}
        for place, side in enumerate((BASELINE, CANARY))
    }


def _unknown(answers: pl.DataFrame) -> tuple[int, int]:
    left = answers.select("side", "known").filter(~pl.col("known"))["side"]
    return int((left == BASELINE).sum()), int((left == CANARY).sum())
