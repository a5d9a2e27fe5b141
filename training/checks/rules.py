"""The rules that each row keeps or breaks by itself, as Polars expressions made from the contract.

Each column is screened first by figures that one pass gives (least, largest, sum, nulls); only a column whose figures
leave a doubt gets a mask of n_rows. Clean data therefore cost one pass over their numbers and no memory.
"""

from dataclasses import dataclass

import polars as pl

from flywheel.column_rules import EARLIEST, LATEST
from flywheel.column_types import POLARS
from flywheel.contract import Column, Contract
from training.checks.finding import Rule


@dataclass(frozen=True)
class RowRule:
    """One rule of one column. `broken` is true for each row that breaks it and never null.

    `suspect` is one boolean for the whole column: false proves that no row breaks the rule, and costs little.
    """

    column: str
    rule: Rule
    broken: pl.Expr
    suspect: pl.Expr


def wrong_types(frame: pl.DataFrame, contract: Contract) -> list[Column]:
    """Return the contract's columns that the frame lacks or has with another type."""
    return [column for column in contract.columns if frame.schema.get(column.name) != POLARS[column.type]]


def row_rules(contract: Contract) -> list[RowRule]:
    """Return all rules of all columns; the frame's types must be the contract's."""
    return [rule for column in contract.columns for rule in column_rules(column)]


def column_rules(column: Column) -> list[RowRule]:
    """Return the rules of one column: missing, finite, range, category."""
    name, values = column.name, pl.col(column.name)
    rules = []
    if not column.nullable:
        rules.append(RowRule(name, "missing", values.is_null(), values.null_count() > 0))
    if column.type == "double":
        # The sum of finite numbers is finite, unless it overflows: then the mask decides.
        finite = ~values.is_finite().fill_null(value=True)
        rules.append(RowRule(name, "finite", finite, ~values.sum().is_finite()))
    rules.extend(_range_rules(column))
    if column.categories is not None:
        known = values.is_in(list(column.categories)).fill_null(value=True)
        rules.append(RowRule(name, "category", ~known, ~known.all()))
    return rules


def _range_rules(column: Column) -> list[RowRule]:
    values = pl.col(column.name)
    broken, suspect = pl.lit(value=False), pl.lit(value=False)
    if column.type == "datetime":
        broken = (values < EARLIEST) | (values >= LATEST)
        suspect = (values.min() < EARLIEST) | (values.max() >= LATEST)
    elif column.lower is None and column.upper is None:
        return []
    if column.lower is not None:
        broken, suspect = broken | (values < column.lower), suspect | (values.min() < column.lower)
    if column.upper is not None:
        broken, suspect = broken | (values > column.upper), suspect | (values.max() > column.upper)
    if column.type == "double":
        broken &= values.is_finite()  # what is no number breaks that rule, not this one
    return [RowRule(column.name, "range", broken.fill_null(value=False), suspect.fill_null(value=False))]
