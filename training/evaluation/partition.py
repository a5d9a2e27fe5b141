"""How rows fall into parts by one column: categories as they are, numbers and times by quantiles."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

MISSING = "missing"
OTHER = "any other"
FEW_NUMBERS = 8


@dataclass(frozen=True)
class Partition:
    """The part of each row by one column: `code` (n_rows,) indexes `names`; every part has rows."""

    column: str
    code: npt.NDArray[np.int64]
    names: tuple[str, ...]


def choose_column(column: str, inputs: pl.DataFrame, features: pl.DataFrame) -> pl.Series:
    """Take a column from the raw inputs, or else from the features."""
    return inputs[column] if column in inputs.columns else features[column]


def partition(values: pl.Series, *, bins: int = 5, most: int = 20) -> Partition:
    """Cut a column's rows (n_rows,) into parts.

    Text, booleans and whole numbers of at most 8 values are their own parts, the `most` largest of them, the rest
    together. Other numbers and times are cut at quantiles into at most `bins` parts. Missing values are a part.
    """
    plain = values.fill_nan(None) if values.dtype.is_float() else values
    if plain.dtype.is_numeric() or plain.dtype.is_temporal():
        whole = plain.dtype.is_integer() or (plain.dtype.is_float() and bool((plain == plain.floor()).all()))
        if not (whole and plain.drop_nulls().n_unique() <= FEW_NUMBERS):
            return _quantiles(plain, bins)
        plain = plain.cast(pl.Int64)
    return _categories(plain, most)


def _categories(values: pl.Series, most: int) -> Partition:
    text = values.cast(pl.String)
    counts = text.drop_nulls().value_counts(sort=True)[text.name].to_list()
    kept = sorted(counts[:most], key=_natural)
    names = [*kept, *([OTHER] if len(counts) > most else []), *([MISSING] if text.null_count() else [])]
    place = {name: index for index, name in enumerate(kept)}
    code = [len(names) - 1 if value is None else place.get(value, len(kept)) for value in text.to_list()]
    return Partition(values.name, np.array(code, dtype=np.int64), tuple(names))


def _quantiles(values: pl.Series, bins: int) -> Partition:
    numbers = values.to_physical().cast(pl.Float64).to_numpy()
    known = np.isfinite(numbers)
    inner = np.unique(np.quantile(numbers[known], np.linspace(0, 1, bins + 1)[1:-1])) if known.any() else np.empty(0)
    inner = inner[inner > numbers[known].min()] if known.any() else inner
    code = np.where(known, np.searchsorted(inner, numbers, "right"), len(inner) + 1)
    edges = [_show(edge, values.dtype) for edge in inner]
    names = [*_ranges(edges), MISSING]
    used, code = np.unique(code, return_inverse=True)
    return Partition(values.name, code.astype(np.int64), tuple(names[int(index)] for index in used))


def _ranges(edges: list[str]) -> list[str]:
    if not edges:
        return ["any value"]
    middle = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *middle, f"{edges[-1]} or more"]


def _show(edge: float, kind: pl.DataType) -> str:
    if kind.is_temporal():
        return str(pl.Series([round(edge)], dtype=pl.Int64).cast(kind)[0])[:16]
    return f"{edge:.4g}" if abs(edge) < 10_000 else f"{edge:,.0f}"


def _natural(name: str) -> tuple[bool, float, str]:
    number = name.removeprefix("-").isdigit()
    return (not number, float(name) if number else 0.0, name)
