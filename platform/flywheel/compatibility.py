"""What a new version means to those who call the one before: one rule for its number and for the gate."""

from collections.abc import Iterable
from dataclasses import dataclass

from flywheel.column_rules import Column


@dataclass(frozen=True)
class Inputs:
    """One named input. `minimum`, `maximum` and `categories` are what it must keep to; None: anything of its type."""

    name: str
    type: str
    nullable: bool
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None


def inputs_of(columns: Iterable[Column]) -> tuple[Inputs, ...]:
    """Return what columns of a contract refuse; limits that only flag refuse nothing."""
    return tuple(_input(column) for column in columns)


def input_breaks(now: Iterable[Inputs], then: Iterable[Inputs]) -> list[str]:
    """Return what a caller of `then` would meet at `now`, each a clause that names the input."""
    wanted, asked = {one.name: one for one in now}, {one.name: one for one in then}
    found = [f"input '{name}' is gone" for name in asked if name not in wanted]
    found += [
        f"input '{name}' is new and required" for name, one in wanted.items() if name not in asked and not one.nullable
    ]
    for name in (name for name in wanted if name in asked):
        here, there = wanted[name], asked[name]
        if here.type != there.type:
            found.append(f"input '{name}' was {there.type} and is {here.type}")
        elif there.nullable and not here.nullable:
            found.append(f"input '{name}' may no longer be missing")
        elif _tighter(here, there):
            found.append(f"input '{name}' has tighter limits")
    return found


def _input(column: Column) -> Inputs:
    if column.breach == "flag":
        return Inputs(column.name, column.type, column.nullable)
    limits = (column.minimum, column.maximum, column.categories)
    return Inputs(column.name, column.type, column.nullable, *limits)


def _tighter(here: Inputs, there: Inputs) -> bool:
    low = here.minimum is not None and (there.minimum is None or here.minimum > there.minimum)
    high = here.maximum is not None and (there.maximum is None or here.maximum < there.maximum)
    known = here.categories is not None and (there.categories is None or not {*there.categories} <= {*here.categories})
    return low or high or known
