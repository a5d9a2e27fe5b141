"""The contract of a model's input: which columns, of which type, and what one row must keep to.

Training writes it as `contract.json` into the package; the agent checks every row against it before the model sees it.
It is stricter than MLflow's schema enforcement, which truncates 1.5 to 1 in an integer column and ignores unknown keys.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator

from flywheel.documents import read_document
from flywheel.errors import ContractError

ColumnType = Literal["long", "double", "string", "boolean", "datetime"]

LONG_LIMIT = 2**63
KEY_LENGTH = 256
# What pandas can hold in nanoseconds, which is how MLflow hands datetimes to a model.
EARLIEST, LATEST = datetime(1678, 1, 1), datetime(2262, 1, 1)


class Column(BaseModel):
    """One input: its name, its MLflow type, and whether null is a value of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: ColumnType
    nullable: bool


class Output(BaseModel):
    """One output: its name and its MLflow type."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: Literal["double", "string", "boolean"]


@dataclass(frozen=True, slots=True)
class ValidRow:
    """A row that keeps the contract.

    `inputs` holds every column in the contract's order (datetimes naive, in UTC); `flags` says what is allowed but
    worth knowing: `null:<column>` and `no entity`.
    """

    inputs: dict[str, Any]
    event_time: datetime
    entity: str | None
    subject: str | None
    flags: list[str]


class Contract(BaseModel):
    """The columns of the model's signature: the event time and the raw inputs, without entity, subject and label.

    A request's row may also carry entity and subject under their own names; they are logged and never scored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[Column, ...]
    event_time: str
    entity: str | None
    subject: str | None = None
    outputs: tuple[Output, ...] = (Output(name="probability", type="double"),)

    _checks: tuple[tuple[str, bool, "Check"], ...] = PrivateAttr()
    _allowed: frozenset[str] = PrivateAttr()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("two columns have the same name")
        times = [column for column in self.columns if column.name == self.event_time]
        if not times or times[0].type != "datetime" or times[0].nullable:
            raise ValueError(f"the event time '{self.event_time}' must be a datetime column without nulls")
        if {self.entity, self.subject} & set(names):
            raise ValueError("entity and subject are keys, so they cannot be inputs as well")
        for column in self.columns:
            if column.nullable and column.type in ("long", "boolean"):
                raise ValueError(
                    f"column '{column.name}' is {column.type} with nulls, which MLflow cannot hold: use double"
                )
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Look the checks up once, because `validate_row` runs for every request."""
        self._checks = tuple((column.name, column.nullable, CHECKS[column.type]) for column in self.columns)
        keys = {key for key in (self.entity, self.subject) if key is not None}
        self._allowed = frozenset(column.name for column in self.columns) | keys

    def validate_row(self, row: Mapping[str, Any]) -> ValidRow:
        """Check one row of a request, as parsed from JSON.

        Raises:
            ContractError: A column is missing, unknown, of the wrong type, not finite or out of range.
        """
        inputs: dict[str, Any] = {}
        flags: list[str] = []
        for name, nullable, check in self._checks:
            if name not in row:
                raise ContractError(name, "missing", f"Column '{name}' is missing. Add it to the row.")
            value = row[name]
            if value is not None:
                inputs[name] = check(name, value)
            elif nullable:
                inputs[name] = None
                flags.append(f"null:{name}")
            else:
                raise ContractError(name, "missing", f"Column '{name}' is null, but needs a value. Send one.")
        if not row.keys() <= self._allowed:
            self._refuse_unknown(row)
        entity = _key(self.entity, row)
        if self.entity is not None and entity is None:
            flags.append("no entity")
        return ValidRow(inputs, inputs[self.event_time], entity, _key(self.subject, row), flags)

    def _refuse_unknown(self, row: Mapping[str, Any]) -> None:
        name = min(str(key)[:KEY_LENGTH] for key in row.keys() - self._allowed)
        raise ContractError(name, "unknown", f"Column '{name}' is not known here. Remove it or correct its spelling.")


def read_contract(path: Path) -> Contract:
    """Read a `contract.json`.

    Raises:
        IntegrityError: The file is missing or is no contract.
    """
    return read_document(path, Contract)


Check = Callable[[str, Any], Any]


def _wrong_type(name: str, expected: str, value: object) -> ContractError:
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
        raise _wrong_type(name, "a whole number", value)
    if not -LONG_LIMIT <= value < LONG_LIMIT:
        raise ContractError(name, "range", f"Column '{name}' holds 64-bit integers. Send a smaller number.")
    return value


def _double(name: str, value: Any) -> float:
    if type(value) is not float:
        if type(value) is not int:
            raise _wrong_type(name, "a number", value)
        if abs(value) >= LONG_LIMIT * 2:
            raise ContractError(name, "range", f"Column '{name}' is too large an integer. Send it as a decimal number.")
        value = float(value)
    if not math.isfinite(value):
        raise ContractError(name, "finite", f"Column '{name}' is not finite. Send null or a finite number.")
    return float(value)


def _string(name: str, value: Any) -> str:
    if type(value) is not str:
        raise _wrong_type(name, "a string", value)
    return value


def _boolean(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong_type(name, "true or false", value)
    return value


def _datetime(name: str, value: Any) -> datetime:
    if type(value) is not str:
        raise _wrong_type(name, "a time as ISO 8601 text", value)
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


def _key(name: str | None, row: Mapping[str, Any]) -> str | None:
    if name is None or (value := row.get(name)) is None:
        return None
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        raise _wrong_type(name, "a string or a whole number", row[name])
    if not 0 < len(value) <= KEY_LENGTH:
        raise ContractError(name, "range", f"Key '{name}' must have 1 to {KEY_LENGTH} characters. Shorten it.")
    return value
