"""Columns that vanished or changed type: told at once, since no statistics is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flywheel.profiling.block import Block
from flywheel.profiling.series import Series

Fault = Literal["vanished", "changed type"]
WORDS: Mapping[Fault, str] = {"vanished": "no value in any row", "changed type": "values of another type"}
MOST_UNFIT = 0.5  # of a block's rows: single wrong values are missing ones, most of them are another type
VANISHED_FROM = 0.5  # of a reference's rows: a column that mostly has values has not merely none today


@dataclass(frozen=True)
class Change:
    """A column of a block, and what is wrong with it."""

    column: str
    fault: Fault


def present_columns(reference: Series, exclude: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the columns that have values in most rows of a reference, which therefore may vanish."""
    rows, missing = max(reference.rows, 1), dict[str, int]()
    for block in reference.blocks:
        for name, column in block.columns.items():
            missing[name] = missing.get(name, 0) + column.missing
    return tuple(name for name, none in missing.items() if none < VANISHED_FROM * rows and name not in exclude)


def changes_of(block: Block, present: Sequence[str]) -> tuple[Change, ...]:
    """Return what vanished or changed type in a block, of the columns `present` in the reference."""
    found = []
    for name in present:
        column = block.columns.get(name)
        if column is None or (column.missing == column.rows and not column.unfit):
            found.append(Change(name, "vanished"))
        elif column.unfit > MOST_UNFIT * column.rows:
            found.append(Change(name, "changed type"))
    return tuple(found)
