"""Whose rows: those of one version in one arm of a rollout."""

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

CHAMPION = "champion"  # who answers where no rollout is under way, too


class Key(NamedTuple):
    """A version and an arm."""

    version: str
    arm: str


def by_key(rows: pl.DataFrame) -> Iterator[tuple[Key, pl.DataFrame]]:
    """Yield the rows (n, …) of each `model_version` and `arm`."""
    named = rows.with_columns(pl.col("arm").fill_null(CHAMPION))
    for (version, arm), part in named.partition_by("model_version", "arm", as_dict=True).items():
        yield Key(str(version), str(arm)), part
