"""How far the looks have come in the log, as plain JSON: what a restarted controller goes on from."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from flywheel.errors import DataError
from flywheel.position import Position


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
