"""The evidence of one rollout, look by look: what is new in the log, as documents of metrics and numbers to show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.evidence.arms import with_sides
from deploy.evidence.cursor import Cursor, read_cursor
from deploy.evidence.documents import Documents, by_share, of_step, on_outcomes, shown
from deploy.evidence.fold import Fresh, fold
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.reader import Reader, Rows
from deploy.evidence.users import Sides
from deploy.evidence.waiting import Waiting
from flywheel.position import Position
from flywheel.storage import PredictionLog


@dataclass(frozen=True)
class Found:
    """One look.

    Args:
        documents: By metric, in the forms of `deploy.verdict_looks`.
        shown: Numbers by metric that no verdict takes, for people.
        cursor: For the next look; plain JSON.
    """

    documents: Documents
    shown: Documents
    cursor: dict[str, Any]


@dataclass(frozen=True)
class Memory:
    """What follows from a rollout's rows up to a position.

    Args:
        waiting: What waits for its other half.
        sides: Which arm each unit has been in at this step.
        began: When the step did.
    """

    waiting: Waiting = field(default_factory=Waiting)
    sides: Sides = field(default_factory=Sides)
    began: datetime | None = None

    def after(self, plan: EvidencePlan, rows: Rows, began: datetime | None) -> tuple[Fresh, "Memory"]:
        """Take in the rows of one look; return what became known.

        Raises:
            DataError: A unit was in both arms.
        """
        sides = self.sides if self.began == began else Sides()
        if plan.users:
            sides = sides.after(with_sides(of_step(rows, began).lines, plan))
        fresh, waiting = fold(plan, self.waiting, rows)
        return fresh, Memory(waiting, sides, began)


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
        fresh, memory = memory.after(self._plan, rows, began)
        documents, held = on_outcomes(self._plan, fresh, known.held)
        documents |= by_share(self._plan, of_step(rows, began))
        numbers = shown(self._plan, fresh, memory.waiting, rows)
        self._memory, self._place = memory, (known.start, position)
        return Found(documents, numbers, Cursor(start=known.start, at=position, held=held).model_dump(mode="json"))

    def _recovered(self, cursor: Cursor, began: datetime | None) -> Memory:
        memory, place = Memory(), cursor.start
        for position in cursor.start.towards(cursor.at):
            rows, _ = self._reader.between(place, position)
            _, memory = memory.after(self._plan, rows, began)
            place = position
        return memory
