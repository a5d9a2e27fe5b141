"""What one value of a column must keep to: its type, and the limits that the use case sets.

The rules of a column are said once, in `Column`; three readers hold data to them: `Contract.validate_row` for requests,
and training's masks and pandera schema for frames.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flywheel.errors import ContractError

ColumnType = Literal["long", "double", "string", "boolean", "datetime"]
Breach = Literal["refuse", "flag"]
Bound = int | float | datetime

LONG_LIMIT = 2**63
# What pandas can hold in nanoseconds, which is how MLflow hands datetimes to a model.
EARLIEST, LATEST = datetime(1678, 1, 1), datetime(2262, 1, 1)
EPOCH = datetime(1970, 1, 1)


class Column(BaseModel):
    """One input: its name, its MLflow type, whether null is a value of it, and its limits.

    `minimum` and `maximum` (both allowed themselves) are for numbers, and for times as seconds since 1970, UTC;
    `categories` lists all values that text may have. A request that breaks a limit is refused, or scored and flagged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: ColumnType
    nullable: bool
    minimum: float | None = Field(None, allow_inf_nan=False)
    maximum: float | None = Field(None, allow_inf_nan=False)
    categories: tuple[str, ...] | None = None
    breach: Breach = "refuse"

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        bounded = self.minimum is not None or self.maximum is not None
        if bounded and self.type in ("string", "boolean"):
            raise ValueError(f"column '{self.name}' is {self.type}, which has no minimum or maximum")
        if self.categories is not None and self.type != "string":
            raise ValueError(f"column '{self.name}' is {self.type}, but only text has categories")
        if self.categories is not None and not self.categories:
            raise ValueError(f"column '{self.name}' has an empty list of categories, so no value could be right")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"column '{self.name}' has a minimum above its maximum")
        return self

    @property
    def lower(self) -> Bound | None:
        """The least value allowed, in the column's own type."""
        return self._bound(self.minimum, math.ceil)

    @property
    def upper(self) -> Bound | None:
        """The largest value allowed, in the column's own type."""
        return self._bound(self.maximum, math.floor)

    def _bound(self, value: float | None, whole: Callable[[float], int]) -> Bound | None:
        if value is None or self.type == "double":
            return value
        if self.type == "datetime":
            seconds = max((EARLIEST - EPOCH).total_seconds(), min(value, (LATEST - EPOCH).total_seconds()))
            return EPOCH + timedelta(seconds=seconds)
        # Whole, so that integers beyond 2^53 are never compared as doubles.
        return max(-LONG_LIMIT, min(whole(value), LONG_LIMIT - 1))


Check = Callable[[str, Any], Any]
Limit = Callable[[Any], str | None]


def value_check(column: Column) -> Check:
    """Return the function (name, value from JSON) → typed value that refuses what breaks type or limits.

    It raises ContractError with rule type, finite, range or category.
    """
    check, limit = CHECKS[column.type], value_limit(column)
    if limit is None or column.breach == "flag":
        return check

    def limited(name: str, value: Any) -> Any:
        typed = check(name, value)
        if (rule := limit(typed)) is not None:
            raise ContractError(name, rule, _limit_sentence(column))
        return typed

    return limited


def value_limit(column: Column) -> Limit | None:
    """Return the function that names the rule (range or category) a typed value breaks; None without limits."""
    if column.categories is not None:
        allowed = frozenset(column.categories)
        return lambda value: None if value in allowed else "category"
    # Bounds that are always kept, instead of a branch for each request.
    lower, upper = column.lower, column.upper
    if lower is None and upper is None:
        return None
    always = (EARLIEST, LATEST) if column.type == "datetime" else (-math.inf, math.inf)
    least = always[0] if lower is None else lower
    most = always[1] if upper is None else upper
    return lambda value: None if least <= value <= most else "range"


def _limit_sentence(column: Column) -> str:
    if column.categories is not None:
        shown = ", ".join(repr(value) for value in column.categories[:10])
        more = f" and {len(column.categories) - 10} more" if len(column.categories) > 10 else ""
        return f"Column '{column.name}' holds a value that is none of its categories. Send one of {shown}{more}."
    if column.upper is None:
        return f"Column '{column.name}' must be at least {column.lower}. Correct it."
    if column.lower is None:
        return f"Column '{column.name}' must be at most {column.upper}. Correct it."
    return f"Column '{column.name}' must lie between {column.lower} and {column.upper}. Correct it."


def wrong_type(name: str, expected: str, value: object) -> ContractError:
    """Make the refusal of a value that is not of the expected kind."""
    found = {
        bool: "a boolean",
        str: "a string",
        int: "an integer",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    given = found.get(type(value), type(value).__name__)
    return ContractError(name, "type", f"Column '{name}' takes {expected}, not {given}. Send {expected}.")


def _long(name: str, value: Any) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise wrong_type(name, "a whole number", value)
    if not -LONG_LIMIT <= value < LONG_LIMIT:
        raise ContractError(name, "range", f"Column '{name}' holds 64-bit integers. Send a smaller number.")
    return value


def _double(name: str, value: Any) -> float:
    if type(value) is not float:
        if type(value) is not int:
            raise wrong_type(name, "a number", value)
        if abs(value) >= LONG_LIMIT * 2:
            raise ContractError(name, "range", f"Column '{name}' is too large an integer. Send it as a decimal number.")
        value = float(value)
    if not math.isfinite(value):
        raise ContractError(name, "finite", f"Column '{name}' is not finite. Send null or a finite number.")
    return float(value)


def _string(name: str, value: Any) -> str:
    if type(value) is not str:
        raise wrong_type(name, "a string", value)
    return value


def _boolean(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise wrong_type(name, "true or false", value)
    return value


def _datetime(name: str, value: Any) -> datetime:
    if type(value) is not str:
        raise wrong_type(name, "a time as ISO 8601 text", value)
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as fault:
        wish = "Send one like 2013-01-31T10:00:00Z."
        raise ContractError(name, "type", f"Column '{name}' is not a time in ISO 8601. {wish}") from fault
    if not EARLIEST <= moment < LATEST:
        raise ContractError(name, "range", f"Column '{name}' must lie between the years 1678 and 2261. Correct it.")
    return moment


CHECKS: dict[ColumnType, Check] = {
    "long": _long,
    "double": _double,
    "string": _string,
    "boolean": _boolean,
    "datetime": _datetime,
}
