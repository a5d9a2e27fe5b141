"""How far the looks have come in the log, as plain JSON: what a restarted controller goes on from."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flywheel.errors import DataError

# Appends that are read in one go: one a second is usual.
PIECE = 64


class Position(BaseModel):
    """The number of the last append that was read, by table."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    predictions: int = Field(0, ge=0)
    requests: int = Field(0, ge=0)
    outcomes: int = Field(0, ge=0)

    def towards(self, end: "Position") -> Iterator["Position"]:
        """Yield positions up to `end`, at most `PIECE` appends of a table apart, the tables side by side."""
        mine, theirs = self.model_dump(), end.model_dump()
        pieces = max(1, *(math.ceil((theirs[table] - mine[table]) / PIECE) for table in mine))
        for piece in range(1, pieces + 1):
            yield Position(**{name: mine[name] + (theirs[name] - mine[name]) * piece // pieces for name in mine})


class Held(BaseModel):
    """Values of one arm that wait for the other's: of two arms only both together make differences."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    canary: tuple[float, ...] = ()
    baseline: tuple[float, ...] = ()


class Cursor(BaseModel):
    """Between two looks.

    Args:
        start: Where the rollout began: nothing before it can be its own.
        at: After the last look.
        held: By metric.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Position
    at: Position
    held: dict[str, Held] = {}


def read_cursor(body: Mapping[str, Any]) -> Cursor:
    """Read what `Evidence.since` or `Evidence.start` returned.

    Raises:
        DataError: It is no such thing.
    """
    try:
        return Cursor.model_validate(body)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"The cursor of a look is none: {place}: {first['msg']}. Give what the last look returned, unchanged."
        ) from fault
