"""Files of one folder: put under each other when they have the same columns, refused when they do not."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from flywheel.errors import DataError


def common_schema(files: Sequence[Path], schemas: Sequence[pl.Schema]) -> pl.Schema:
    """Return the columns that all files share; whole numbers give way to decimal ones, columns without values to any.

    Raises:
        DataError: A file lacks a column, has another one, or has it of another type; both files are named.
    """
    first, common = files[0], dict(schemas[0])
    owners = dict.fromkeys(common, first)
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        if odd := set(common) ^ set(schema):
            name = min(odd)
            has, lacks = (first, file) if name in common else (file, first)
            raise DataError(
                f"Column '{name}' is in {has} but not in {lacks}. Make all files of one source have the same columns."
            )
        for name, kind in schema.items():
            merged = _merge(common[name], kind)
            if merged is None:
                raise DataError(
                    f"Column '{name}' is {common[name]} in {owners[name]} but {kind} in {file}."
                    " Make it of one type in all files of the source."
                )
            if merged != common[name]:
                common[name], owners[name] = merged, file
    return pl.Schema(common)


def _merge(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if other in (one, pl.Null):
        return one
    if one == pl.Null:
        return other
    if one.is_numeric() and other.is_numeric():
        return pl.Int64() if one.is_integer() and other.is_integer() else pl.Float64()
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime) and one.time_zone == other.time_zone:
        return pl.Datetime("us", one.time_zone)
    texts = (pl.String, pl.Categorical, pl.Enum)
    return pl.String() if one in texts and other in texts else None
