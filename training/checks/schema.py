"""The contract as a pandera schema, for whoever wants to hold a Polars frame to it with pandera's own tools.

It says what `Contract.validate_row` says of requests and `training.checks.rules` of frames in training; one suite of
cases holds the three together. Training itself uses the rules: on five million clean rows the schema takes more than
twice as long, and memory for a mask of each check.
"""

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from flywheel.column_rules import EARLIEST, LATEST
from flywheel.column_types import POLARS
from flywheel.contract import Column, Contract


def pandera_schema(contract: Contract) -> pa.DataFrameSchema:
    """Return the schema of frames of the contract's columns, named by rule; other columns, such as keys, may be there.

    The checks' names are the contract's rules: missing, finite, range, category; pandera itself names types. It would
    call a NaN missing too, which the contract calls not finite; so the schema looks for nulls with a check of its own.
    """
    return pa.DataFrameSchema({column.name: _column(column) for column in contract.columns}, strict=False)


def _column(column: Column) -> pa.Column:
    return pa.Column(POLARS[column.type], checks=_checks(column), nullable=True, required=True)


def _checks(column: Column) -> list[pa.Check]:
    checks: list[pa.Check] = []
    if not column.nullable:
        checks.append(pa.Check(_is_there, name="missing", error="missing", ignore_na=False))
    if column.type == "double":
        checks.append(pa.Check(_is_finite, name="finite", error="finite"))
    if column.type == "datetime":
        checks.append(pa.Check.in_range(EARLIEST, LATEST, include_max=False, name="range", error="range"))
    if column.lower is not None:
        checks.append(pa.Check.ge(column.lower, name="range", error="range"))
    if column.upper is not None:
        checks.append(pa.Check.le(column.upper, name="range", error="range"))
    if column.categories is not None:
        checks.append(pa.Check.isin(list(column.categories), name="category", error="category"))
    return checks


def _is_there(data: PolarsData) -> pl.LazyFrame:
    there: pl.LazyFrame = data.lazyframe.select(pl.col(data.key).is_not_null())
    return there


def _is_finite(data: PolarsData) -> pl.LazyFrame:
    finite: pl.LazyFrame = data.lazyframe.select(pl.col(data.key).is_finite())
    return finite
