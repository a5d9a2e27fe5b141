"""Questions to a model's server: rows as JSON in MLflow's form, and the input example that a model carries."""

import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from flywheel.errors import IntegrityError

SERVING_EXAMPLE = "serving_input_example.json"


@dataclass(frozen=True)
class Example:
    """A model's input example: the question as MLflow stored it, and its rows where they have names."""

    question: dict[str, Any]
    rows: pl.DataFrame | None

    def first(self) -> bytes:
        """Return a question with the first row alone, or the whole example where rows cannot be told."""
        split = self.question.get("dataframe_split")
        if split is None:
            return json.dumps(self.question).encode()
        return json.dumps({"dataframe_split": {**split, "data": split["data"][:1]}}).encode()


def read_example(folder: Path) -> Example | None:
    """Read the input example of an MLflow model; None without one.

    Raises:
        IntegrityError: There is one that is no JSON object.
    """
    path = folder / SERVING_EXAMPLE
    if not path.is_file():
        return None
    try:
        question = json.loads(path.read_bytes())
    except ValueError as fault:
        raise IntegrityError(f"{SERVING_EXAMPLE} is no JSON: {fault}. Log the model again.") from fault
    if not isinstance(question, dict):
        raise IntegrityError(f"{SERVING_EXAMPLE} holds no JSON object. Log the model again.")
    split = question.get("dataframe_split")
    if not isinstance(split, dict):
        return Example(question, None)
    rows = pl.DataFrame(split["data"], schema=split["columns"], orient="row", infer_schema_length=None)
    return Example(question, rows)


def question(rows: pl.DataFrame) -> bytes:
    """Write rows as a request's body; missing values are null."""
    data = [[_plain(value) for value in row] for row in rows.iter_rows()]
    return json.dumps({"dataframe_split": {"columns": rows.columns, "data": data}}).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # pandas infers one format from the first row and fails on the others, so all rows get the same digits.
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
