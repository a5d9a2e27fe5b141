"""MLflow's four JSON forms of a request, read into rows: bytes in, mappings of column to value out.

{"dataframe_split": {"columns": [...], "data": [[...], ...]}}
{"dataframe_records": [{...}, ...]}
{"inputs": [{...}, ...]}    or    {"inputs": {column: [...], ...}}
{"instances": [{...}, ...]}
"""

from collections.abc import Callable
from typing import Any

from deploy.agent.dataplane import Row
from deploy.agent.json_body import read_json
from deploy.agent.refusal import RefusalError

SPLIT = frozenset({"columns", "data"})
SPLIT_OR_INDEX = SPLIT | {"index"}


def parse_rows(body: bytes, max_rows: int, check_params: Callable[[Any], None] | None = None) -> list[Row]:
    """Return the rows of a request, at least one.

    `check_params` gets what stands under `params`, which MLflow's clients may send beside the rows; it may refuse it.

    Raises:
        RefusalError: The body is no JSON, has none of the forms, or holds no row or too many.
    """
    document = read_json(body)
    if check_params is not None and isinstance(document, dict) and "params" in document:
        check_params(document.pop("params"))
    if not isinstance(document, dict) or len(document) != 1 or (form := next(iter(document))) not in FORMS:
        raise RefusalError("form", f"The body must be a JSON object with exactly one key of: {', '.join(FORMS)}.")
    rows = FORMS[form](form, document[form])
    check_count(f"'{form}'", len(rows), max_rows)
    return rows


def check_count(what: str, n_rows: int, max_rows: int) -> None:
    """Check that a request holds a row, and not too many.

    Raises:
        RefusalError: It does not.
    """
    if not n_rows:
        raise RefusalError("form", f"{what} holds no row. Send at least one.")
    if n_rows > max_rows:
        raise RefusalError("size", f"The request has {n_rows} rows, more than {max_rows}. Split it.")


def _split(form: str, table: Any) -> list[Row]:
    if not isinstance(table, dict) or not SPLIT <= table.keys() <= SPLIT_OR_INDEX:
        raise RefusalError("form", f"'{form}' must be an object with 'columns' and 'data'.")
    columns, data = table["columns"], table["data"]
    if not _is_list_of(columns, str) or len(set(columns)) != len(columns):
        raise RefusalError("form", f"'columns' of '{form}' must be a list of different names.")
    if not _is_list_of(data, list):
        raise RefusalError("form", f"'data' of '{form}' must be a list of rows, each a list of values.")
    try:
        return [dict(zip(columns, values, strict=True)) for values in data]
    except ValueError as fault:
        index, found = next((i, len(row)) for i, row in enumerate(data) if len(row) != len(columns))
        raise RefusalError("form", f"The row has {found} values for {len(columns)} columns.", row=index) from fault


def _records(form: str, rows: Any) -> list[Row]:
    if not _is_list_of(rows, dict):
        raise RefusalError("form", f"'{form}' must be a list of objects, one a row.")
    return list(rows)


def _inputs(form: str, table: Any) -> list[Row]:
    if not isinstance(table, dict):
        return _records(form, table)
    columns = list(table.values())
    if not _is_list_of(columns, list) or len({len(values) for values in columns}) > 1:
        raise RefusalError("form", f"'{form}' as an object must hold one list a column, all of the same length.")
    return [dict(zip(table, values, strict=True)) for values in zip(*columns, strict=True)]


def _is_list_of(value: Any, kind: type) -> bool:
    # What orjson reads has no subclasses, and a set of types is built without a step of Python for each item.
    return type(value) is list and {*map(type, value)} <= {kind}


FORMS: dict[str, Callable[[str, Any], list[Row]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "inputs": _inputs,
    "instances": _records,
}
