"""What a worker is asked with: valid rows as JSON, in the form of MLflow's that it reads fastest and exactly.

`inputs` (a list of values a column) becomes one NumPy array a column: a lone row takes a fifth less of the worker's
time than in `dataframe_split`. But NumPy has no missing value for anything but doubles (it makes "None" of a text and
false of a boolean) and drops NUL at the end of a text, and columns of nothing but lists of texts are taken for one row,
so that such rows go as `dataframe_split`. In either form pandas makes doubles of whole numbers beside a missing one, so
that rows with a whole number that a double cannot hold go alone then.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson

from flywheel.column_rules import ColumnType
from flywheel.contract import Contract, ValidRow

Values = Sequence[Any]

EXACT = 2**53  # up to here a double holds every whole number


class WorkerBody:
    """Writes requests of one contract's rows."""

    def __init__(self, contract: Contract) -> None:
        types = [column.type for column in contract.columns]
        self._names = [column.name for column in contract.columns]
        self._times = [index for index, kind in enumerate(types) if kind == "datetime"]
        self._longs = [index for index, kind in enumerate(types) if kind == "long"]
        self._changed = [(index, CHANGED[kind]) for index, kind in enumerate(types) if kind in CHANGED]
        self._only_times = set(types) == {"datetime"}

    def write(self, rows: Sequence[ValidRow]) -> list[bytes]:
        """Return the bodies that ask for `rows`, (n_rows,), in their order: nearly always one."""
        columns: list[Values] = list(zip(*(row.inputs.values() for row in rows), strict=True))
        if any(_rounded(columns[index]) for index in self._longs):
            return [self._one([[value] for value in row.inputs.values()]) for row in rows]
        return [self._one(columns)]

    def _one(self, columns: list[Values]) -> bytes:
        exact = not self._only_times and not any(changed(columns[index]) for index, changed in self._changed)
        for index in self._times:
            # pandas infers one format from the first row and fails on the others, so all rows get the same digits.
            columns[index] = [_digits(moment) for moment in columns[index]]
        if exact:
            return orjson.dumps({"inputs": dict(zip(self._names, columns, strict=True))})
        return orjson.dumps({"dataframe_split": {"columns": self._names, "data": list(zip(*columns, strict=True))}})


def _digits(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _rounded(values: Values) -> bool:
    return None in values and any(value is not None and abs(value) > EXACT for value in values)


def _missing(values: Values) -> bool:
    return None in values


def _missing_or_cut(values: Values) -> bool:
    return None in values or any(text.endswith("\0") for text in values)


# Says whether NumPy would change a column's values, for the types whose values it can change.
CHANGED: dict[ColumnType, Callable[[Values], bool]] = {
    "long": _missing,
    "boolean": _missing,
    "string": _missing_or_cut,
}
