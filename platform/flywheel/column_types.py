"""The types of a contract's columns as Polars has them. It imports nothing else: the agent does without Arrow."""

import polars as pl

from flywheel.column_rules import ColumnType

POLARS: dict[ColumnType, pl.DataType] = {
    "long": pl.Int64(),
    "double": pl.Float64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "datetime": pl.Datetime("us"),
}
