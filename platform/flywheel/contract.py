"""The contract of a model's input: which columns, of which type, and what one row must keep to.

Training writes it as `contract.json` into the package; the agent checks every row against it before the model sees it.
It is stricter than MLflow's schema enforcement, which truncates 1.5 to 1 in an integer column and ignores unknown keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from flywheel.column_rules import Check, Column, ColumnType, Limit, value_check, value_limit, wrong_type
from flywheel.documents import read_document
from flywheel.errors import ContractError
from flywheel.usecase import Task

__all__ = ["Column", "ColumnType", "Contract", "Output", "ValidRow", "outputs_of", "read_contract"]

KEY_LENGTH = 256


@dataclass(frozen=True, slots=True)
class ValidRow:
    """A row that keeps the contract.

    `inputs` holds every column in the contract's order (datetimes naive, in UTC); `flags` says what is allowed but
    worth knowing: `null:<column>`, `range:<column>`, `category:<column>` and `no entity`.
    """

    inputs: dict[str, Any]
    event_time: datetime
    entity: str | None
    subject: str | None
    flags: list[str]


class Output(BaseModel):
    """One column of a prediction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: Literal["double", "string", "boolean"]


PROBABILITY = Output(name="probability", type="double")


def outputs_of(task: Task, classes: Sequence[str] = (), *, has_threshold: bool = False) -> tuple[Output, ...]:
    """Return what a model of this task answers for each row.

    Args:
        task: Binary: the probability of 1; multiclass: the likeliest class and each class's probability; regression: a
            number.
        classes: Names of a multiclass label's classes, by code.
        has_threshold: For binary: the model also decides.
    """
    if task == "binary":
        return (PROBABILITY, Output(name="decision", type="boolean")) if has_threshold else (PROBABILITY,)
    if task == "regression":
        return (Output(name="prediction", type="double"),)
    chances = (Output(name=f"probability_{name}", type="double") for name in classes)
    return (Output(name="prediction", type="string"), *chances)


class Contract(BaseModel):
    """The columns of the model's signature: the event time and the raw inputs, without entity, subject and label.

    A request's row may also carry entity and subject under their own names; they are logged and never scored. `outputs`
    are the columns of the answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[Column, ...]
    event_time: str
    entity: str | None
    subject: str | None = None
    outputs: tuple[Output, ...] = Field((PROBABILITY,), min_length=1)

    _checks: tuple[tuple[str, bool, Check], ...] = PrivateAttr()
    _flagged: tuple[tuple[str, Limit], ...] = PrivateAttr()
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
        if len({output.name for output in self.outputs}) != len(self.outputs):
            raise ValueError("two outputs have the same name")
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Look the checks up once, because `validate_row` runs for every request."""
        self._checks = tuple((column.name, column.nullable, value_check(column)) for column in self.columns)
        limits = [(column.name, value_limit(column)) for column in self.columns if column.breach == "flag"]
        self._flagged = tuple((name, limit) for name, limit in limits if limit is not None)
        keys = {key for key in (self.entity, self.subject) if key is not None}
        self._allowed = frozenset(column.name for column in self.columns) | keys

    def validate_row(self, row: Mapping[str, Any], *, ignore_unknown: bool = False) -> ValidRow:
        """Check one row of a request, as parsed from JSON; fields that no column names are refused, or ignored.

        Raises:
            ContractError: A column is missing, unknown, of the wrong type, not finite, out of range or none of its
                categories.
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
        for name, limit in self._flagged:
            if (value := inputs[name]) is not None and (rule := limit(value)) is not None:
                flags.append(f"{rule}:{name}")
        if not ignore_unknown and not row.keys() <= self._allowed:
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


def _key(name: str | None, row: Mapping[str, Any]) -> str | None:
    if name is None or (value := row.get(name)) is None:
        return None
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        raise wrong_type(name, "a string or a whole number", row[name])
    if not 0 < len(value) <= KEY_LENGTH:
        raise ContractError(name, "range", f"Key '{name}' must have 1 to {KEY_LENGTH} characters. Shorten it.")
    return value
