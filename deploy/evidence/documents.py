"""One look as documents of metrics, and as numbers to show. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from deploy.evidence import predicted, shadow, users
from deploy.evidence.arms import side_of, with_sides
from deploy.evidence.cursor import Held
from deploy.evidence.fold import Fresh
from deploy.evidence.losses import losses, measures
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.reader import OUTPUT, Rows
from deploy.evidence.values import by_unit, handed
from deploy.evidence.waiting import Waiting

Documents = dict[str, dict[str, Any]]


def of_step(rows: Rows, began: datetime | None) -> Rows:
    """Leave records and lines of requests that came since the step began (naive UTC)."""
    if began is None:
        return rows
    took = pl.duration(microseconds=(pl.col("latency_ms").fill_null(0.0) * 1000).cast(pl.Int64))
    records = rows.records.filter(pl.col("recorded_time") - took >= began)
    return replace(rows, records=records, lines=rows.lines.filter(pl.col("time") >= began))


def by_share(plan: EvidencePlan, step: Rows) -> Documents:
    """Return the documents of metrics that go by the share of the step: rows of other steps are none of theirs."""
    found: Documents = {}
    if plan.users:
        found["users"] = dict(users.errors_by_unit(with_sides(step.lines, plan)))
    if plan.bins is not None:
        scored = step.records.filter(pl.col("status") == "scored").with_columns(side=side_of(plan))
        found["prediction_shift"] = dict(predicted.by_bin(scored, OUTPUT + plan.value, plan.bins))
    return found


def on_outcomes(plan: EvidencePlan, fresh: Fresh, held: Mapping[str, Held]) -> tuple[Documents, dict[str, Held]]:
    """Return the documents of metrics on outcomes, and the values that wait for the next look."""
    found: Documents = {}
    if plan.loss is not None and plan.shadow:
        found["shadow"] = {"differences": shadow.differences(fresh.judged, plan, plan.loss)}
    new: dict[str, Held] = {}
    if plan.loss is not None:
        new["loss"] = by_unit(fresh.learned, losses(fresh.learned, plan, plan.loss))
    if plan.kpi is not None:
        new["kpi"] = by_unit(fresh.learned, measures(fresh.learned, plan.kpi))
    given = {name: handed(held.get(name, Held()), values) for name, values in new.items()}
    found |= {name: document for name, (document, _) in given.items()}
    return found, {name: left for name, (_, left) in given.items()}


def shown(plan: EvidencePlan, fresh: Fresh, waiting: Waiting, rows: Rows) -> Documents:
    """Return the look's numbers for people; those of `outcomes` are of the rollout so far."""
    found: Documents = {"requests": dict(users.shown(with_sides(rows.lines, plan)))}
    if plan.shadow:
        found["shadow"] = shadow.shown(fresh.pairs, fresh.attempted, plan)
    if plan.learns:
        found["outcomes"] = dict(waiting.outcomes_shown(plan))
    return found
