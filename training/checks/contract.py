"""The contract of a use case's inputs: types from the rows that were read, limits from `checks.columns`."""

from collections.abc import Sequence

import polars as pl
from pydantic import ValidationError

from flywheel.column_rules import Breach
from flywheel.contract import Column, ColumnType, Contract, Output
from flywheel.errors import DataError, SpecError
from flywheel.faults import reason_of
from flywheel.usecase import Action, ColumnCheck, UseCase

TYPES: dict[type[pl.DataType], ColumnType] = {
    pl.Int64: "long",
    pl.Float64: "double",
    pl.String: "string",
    pl.Boolean: "boolean",
    pl.Datetime: "datetime",
}
# What a breach in a request leads to: a row that training would not learn from is not scored either.
BREACHES: dict[Action, Breach] = {"warn": "flag", "quarantine": "refuse", "stop": "refuse"}
NO_CHECK = ColumnCheck()


def contract_from_rows(rows: pl.DataFrame, usecase: UseCase, outputs: Sequence[Output]) -> Contract:
    """Make the contract of typed inputs: n_rows by (event time, inputs), without label, keys and what is excluded.

    Doubles, text and times other than the event's may be missing in a request even when training saw none missing:
    every family copes, and a measurement that fails must not refuse a prediction. Whole numbers and booleans are mostly
    counts and flags that somebody sets, so they may be missing only when training saw it. What `checks.columns` says
    goes first: `max_missing: 0` means never.

    Raises:
        SpecError: `checks.columns` names a column that is no input, or limits it in a way that its type does not have.
        DataError: An input is of a type that no model takes, or its name is a key.
    """
    unknown = sorted(usecase.checks.columns.keys() - set(rows.columns) - _keys(usecase))
    if unknown:
        are = "is no input" if len(unknown) == 1 else "are no inputs"
        raise SpecError(
            f"checks.columns: {_quoted(unknown)} {are} of the data, "
            f"which has: {', '.join(rows.columns)}. Correct the spelling or remove it."
        )
    columns = tuple(_column(rows[name], usecase) for name in rows.columns)
    try:
        return Contract(
            columns=columns,
            event_time=usecase.data.event_time,
            entity=usecase.data.entity,
            subject=usecase.data.subject,
            outputs=tuple(outputs),
        )
    except ValueError as fault:
        raise DataError(f"The inputs make no contract: {_reason(fault)}. Correct the source.") from fault


def _keys(usecase: UseCase) -> set[str]:
    """Name the key columns that may be checked, though they are no inputs: for being unique, and for nothing else."""
    keys = {name for name in (usecase.data.entity, usecase.data.subject) if name is not None}
    for name in keys & usecase.checks.columns.keys():
        if usecase.checks.columns[name] != ColumnCheck(unique=True, action=usecase.checks.columns[name].action):
            raise SpecError(f"checks.columns: '{name}' is a key, which can only be unique. Remove the other rules.")
    return keys


def _column(values: pl.Series, usecase: UseCase) -> Column:
    name, kind = values.name, TYPES.get(values.dtype.base_type())
    if kind is None:
        raise DataError(
            f"Input '{name}' is of type {values.dtype}, which no model takes. "
            "Make it a number, text, boolean or datetime, or add it to data.exclude."
        )
    check = usecase.checks.columns.get(name, NO_CHECK)
    breach = BREACHES.get(check.action)
    may_be_missing = kind not in ("long", "boolean") or values.null_count() > 0
    needed = check.max_missing == 0 and breach == "refuse"
    column = Column(name=name, type=kind, nullable=may_be_missing and not needed and name != usecase.data.event_time)
    if breach is None:
        return column
    try:
        return Column(
            **column.model_dump(include={"name", "type", "nullable"}),
            minimum=check.min,
            maximum=check.max,
            categories=check.categories,
            breach=breach,
        )
    except ValueError as fault:
        raise SpecError(f"checks.columns.{name}: {_reason(fault)}. Correct usecase.yaml.") from fault


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _reason(fault: ValueError) -> str:
    return reason_of(fault.errors()[0]) if isinstance(fault, ValidationError) else str(fault)
