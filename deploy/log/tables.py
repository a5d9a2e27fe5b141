"""What the shipper needs of the prediction log: how far a file has come, and appending rows with that in one commit."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import polars as pl
import pyarrow as pa

from flywheel.storage import TableName


class Tables(Protocol):
    """The tables of all use cases, as `flywheel.storage.PredictionLog` has them.

    A commit is atomic, but a repeated one is not surely refused, and one that raised may have been made: before it
    tries again, a shipper asks for the position. All raise StackError while the store is away.
    """

    def position(self, use_case: str, table: TableName, app_id: str) -> int | None:
        """Return how far an application has come, None before its first commit."""
        ...

    def commit(
        self, use_case: str, table: TableName, frame: pl.DataFrame | pa.Table, versions: Mapping[str, int]
    ) -> None:
        """Append rows and move applications forward, at once or not at all."""
        ...

    def settle(self, use_case: str, table: TableName) -> None:
        """Return when all that was committed survives loss of power."""
        ...

    def compact(self, use_case: str, table: TableName) -> None:
        """Merge small files."""
        ...


class OutcomeTables(Tables, Protocol):
    """The tables of outcomes have a second writer, and repeats are dropped."""

    def outcomes_alone(self, use_case: str) -> AbstractContextManager[None]:
        """Keep other writers away."""
        ...

    def new_outcomes(self, use_case: str, reported: pl.DataFrame) -> pl.DataFrame:
        """Return those rows of `flywheel.records.REPORTED` that the table does not hold yet."""
        ...
