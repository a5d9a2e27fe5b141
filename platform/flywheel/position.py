"""How far a reader has come in the tables of the prediction log."""

import math
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

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

    def latest(self, other: "Position") -> "Position":
        """Return the later of both, table by table."""
        return Position(**{table: max(own, getattr(other, table)) for table, own in self.model_dump().items()})

    def earliest(self, other: "Position") -> "Position":
        """Return the earlier of both, table by table."""
        return Position(**{table: min(own, getattr(other, table)) for table, own in self.model_dump().items()})
