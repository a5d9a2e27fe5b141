"""Why a request gets no prediction, and the one table that turns a rule into a status code."""

import math

import orjson

from flywheel.errors import FlywheelError

# Rules of the contract (missing, unknown, type, finite, range) are not listed: they answer 422.
STATUS = {
    "http": 400,
    "path": 404,
    "method": 405,
    "media type": 415,
    "json": 400,
    "form": 400,
    "size": 413,
    "busy": 429,
    "scorer": 503,
    "deadline": 503,
    "log": 503,
}
UNPROCESSABLE = 422


class RefusalError(FlywheelError):
    """A request that is answered with an error.

    Args:
        rule: What it breaks; decides the status.
        message: The sentence for the client; never the schema, never a trace.
        field: The column at fault, if one is.
        row: The row at fault, counted from 0, if one is.
        retry_after: For `busy`: seconds after which there may be room.
    """

    def __init__(
        self,
        rule: str,
        message: str,
        *,
        field: str | None = None,
        row: int | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(retry_after))
        self.rule = rule
        self.field = field
        self.row = row

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return STATUS.get(self.rule, UNPROCESSABLE)

    @property
    def sentence(self) -> str:
        """The message with the row at fault, where the answer has no place of its own for that."""
        return str(self) if self.row is None else f"Row {self.row}: {self}"

    def body(self) -> bytes:
        """Return the answer's JSON: `{"error": {"field", "rule", "message", "row"}}`."""
        error = {"field": self.field, "rule": self.rule, "message": str(self), "row": self.row}
        return orjson.dumps({"error": error})
