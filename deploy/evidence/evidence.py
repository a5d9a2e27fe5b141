"""The evidence of one rollout, look by look: what is new in the log, as documents of metrics and numbers to show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from deploy.evidence import predicted, shadow, users
from deploy.evidence.cursor import Cursor, Held, Position, read_cursor
from deploy.evidence.fold import Fresh, Waiting, fold, outcomes_shown, side_of
from deploy.evidence.losses import losses, measures
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.reader import OUTPUT, Reader, Rows
from deploy.evidence.values import by_unit, handed
from flywheel.storage import PredictionLog


@dataclass(frozen=True)
class Found:
    """One look.

    Args:
        documents: By metric, in the forms of `deploy.verdict_looks`.
        shown: Numbers by metric that no verdict takes, for people.
        cursor: For the next look; plain JSON.
    """

    documents: dict[str, dict[str, Any]]
    shown: dict[str, dict[str, Any]]
    cursor: dict[str, Any]


class Evidence:
    """Looks at what the log says of a rollout.

    What waits for its other half is kept in memory. It follows from the rows between the cursor's start and its
    position alone: given another cursor than the last look's, as after a restart, it is made again from these.
    """

    def __init__(self, reader: Reader, plan: EvidencePlan) -> None:
        self._reader, self._plan = reader, plan
        self._memory = Memory()
        self._place: tuple[Position, Position] | None = None

    @classmethod
    def of(cls, log: PredictionLog, usecase: str, rollout: str, plan: EvidencePlan) -> "Evidence":
        """Return the evidence of a rollout by its name, which its requests carry."""
        return cls(Reader(log, usecase, rollout, plan), plan)

    def start(self) -> dict[str, Any]:
        """Return the cursor of a rollout that begins now.

        Raises:
            StackError: The log cannot be read.
        """
        newest = self._reader.newest()
        return Cursor(start=newest, at=newest).model_dump(mode="json")

    def since(self, cursor: Mapping[str, Any], began: datetime | None = None) -> Found:
        """Return what the log took since a cursor; for the same cursor the same again, and what came meanwhile.

        Args:
            cursor: Of `start`, or of the last look.
            began: When the present step's share was confirmed (naive UTC): what was asked before is no evidence of
                metrics that go by the share, `users` and `prediction_shift`. None: all is.

        Raises:
            DataError: The cursor is none, or a unit was in both arms.
            StackError: The log cannot be read.
        """
        known = read_cursor(cursor)
        memory = self._memory if self._place == (known.start, known.at) else self._recovered(known, began)
        rows, position = self._reader.between(known.at)
        fresh, memory = remember(self._plan, memory, rows, began)
        documents, held = documents_of(self._plan, fresh, of_step(rows, began), known.held)
        shown = shown_of(self._plan, fresh, memory.waiting, rows)
        self._memory, self._place = memory, (known.start, position)
        return Found(documents, shown, Cursor(start=known.start, at=position, held=held).model_dump(mode="json"))

    def _recovered(self, cursor: Cursor, began: datetime | None) -> "Memory":
        rows, _ = self._reader.between(cursor.start, cursor.at)
        return remember(self._plan, Memory(), rows, began)[1]


@dataclass(frozen=True)
class Memory:
    """What follows from the rows up to a position.

    Args:
        waiting: For its other half.
        sides: Which arm each unit has been in at this step.
        began: Of this step.
    """

    waiting: Waiting = field(default_factory=Waiting)
    sides: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=users.SIDES))
    began: datetime | None = None


def remember(plan: EvidencePlan, before: Memory, rows: Rows, began: datetime | None) -> tuple[Fresh, Memory]:
    """Take in the rows of one look; return what became known.

    Raises:
        DataError: A unit was in both arms.
    """
    sides = before.sides if before.began == began else before.sides.clear()
    if plan.users:
        sides = users.sides_of_units(users.with_sides(of_step(rows, began).lines, plan.arm), sides)
    fresh, waiting = fold(plan, before.waiting, rows)
    return fresh, Memory(waiting, sides, began)


def of_step(rows: Rows, began: datetime | None) -> Rows:
    """Leave records and lines of requests that came since the step began."""
    if began is None:
        return rows
    came = pl.col("recorded_time") - pl.duration(microseconds=(pl.col("latency_ms") * 1000).cast(pl.Int64))
    lines = rows.lines.filter(pl.col("time") >= began)
    return replace(rows, records=rows.records.filter(came >= began), lines=lines)


def documents_of(
    plan: EvidencePlan, fresh: Fresh, step: Rows, held: Mapping[str, Held]
) -> tuple[dict[str, dict[str, Any]], dict[str, Held]]:
    """Return the look's document of each metric of the plan, and the values that wait for the next look."""
    found: dict[str, dict[str, Any]] = {}
    left: dict[str, Held] = {}
    if plan.users:
        found["users"] = dict(users.errors_by_unit(users.with_sides(step.lines, plan.arm)))
    if plan.bins is not None:
        scored = step.records.filter(pl.col("status") == "scored").with_columns(side=side_of(plan))
        found["prediction_shift"] = dict(predicted.by_bin(scored, OUTPUT + plan.value, plan.bins))
    if plan.loss is not None and plan.shadow:
        found["shadow"] = {"differences": shadow.differences(fresh.judged, plan, plan.loss)}
    if plan.loss is not None:
        new = by_unit(fresh.learned, losses(fresh.learned, plan, plan.loss))
        found["loss"], left["loss"] = handed(held.get("loss", Held()), new)
    if plan.kpi is not None:
        new = by_unit(fresh.learned, measures(fresh.learned, plan.kpi))
        found["kpi"], left["kpi"] = handed(held.get("kpi", Held()), new)
    return found, left


def shown_of(plan: EvidencePlan, fresh: Fresh, waiting: Waiting, rows: Rows) -> dict[str, dict[str, Any]]:
    """Return the look's numbers for people; those of `outcomes` are of the rollout so far."""
    found: dict[str, dict[str, Any]] = {"requests": users.shown(users.with_sides(rows.lines, plan.arm))}
    if plan.shadow:
        found["shadow"] = shadow.shown(fresh.pairs, fresh.attempted, plan)
    if plan.learns:
        found["outcomes"] = outcomes_shown(waiting)
    return found
