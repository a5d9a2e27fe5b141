"""CSV as MLflow takes it, read into rows: a header with the columns' names, then one line a row.

CSV has no types, so the contract's are used. What cannot be read as its column's type stays text, which the contract
then refuses by name and rule. An empty value is a missing one, quoted or not.
"""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

from deploy.agent.dataplane import Row
from deploy.agent.refusal import RefusalError
from deploy.agent.rest.forms import check_count
from flywheel.contract import ColumnType, Contract

WHOLE = re.compile(r"[+-]?\d{1,30}", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
TRUTH = {"true": True, "false": False}


class CsvReader:
    """Reads the CSV requests of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._kinds = {column.name: READERS[column.type] for column in contract.columns}

    def rows(self, body: bytes, max_rows: int) -> list[Row]:
        """Return the rows of a request, at least one.

        Raises:
            RefusalError: The body is no CSV in UTF-8, or holds no row or too many.
        """
        lines = csv.reader(io.StringIO(_text(body), newline=""), strict=True)
        rows: list[Row] = []
        try:
            names = next(lines, [])
            _check_names(names)
            readers = [self._kinds.get(name, _same) for name in names]
            for values in lines:
                if values:
                    rows.append(_row(names, readers, values, len(rows)))
        except csv.Error as fault:
            raise RefusalError("form", f"The body is no CSV: {fault}. Correct it.") from fault
        check_count("The CSV", len(rows), max_rows)
        return rows


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise RefusalError("form", f"The CSV is not UTF-8 (byte {fault.start}). Encode it so.") from fault


def _check_names(names: list[str]) -> None:
    if not names or not all(names) or len(set(names)) != len(names):
        raise RefusalError("form", "The CSV's first line must hold the columns' names, each once.")


def _row(names: list[str], readers: list[Callable[[str], Any]], values: list[str], index: int) -> Row:
    if len(values) != len(names):
        raise RefusalError("form", f"The row has {len(values)} values for {len(names)} columns.", row=index)
    return {name: read(value) if value else None for name, read, value in zip(names, readers, values, strict=True)}


def _same(value: str) -> str:
    return value


def _long(value: str) -> int | float | str:
    return int(value) if WHOLE.fullmatch(value) else _double(value)


def _double(value: str) -> float | str:
    return float(value) if NUMBER.fullmatch(value) else value


def _boolean(value: str) -> bool | str:
    return TRUTH.get(value.lower(), value)


READERS: dict[ColumnType, Callable[[str], Any]] = {
    "long": _long,
    "double": _double,
    "string": _same,
    "boolean": _boolean,
    "datetime": _same,
}
