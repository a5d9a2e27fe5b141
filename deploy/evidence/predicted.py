"""Predictions by bin of the champion's: of each request its first row, since a request's rows share its arm. Pure."""

import polars as pl

from deploy.evidence.plan import Bins


def bin_of(predictions: pl.Series, bins: Bins) -> pl.Series:
    """Return the place of each prediction's bin, (n,); null where there is no value.

    An edge belongs to the bin above it, a class that is not among the plan's to the last one.
    """
    if bins.classes:
        places = {name: place for place, name in enumerate(bins.classes)}
        found = predictions.cast(pl.String).replace_strict(places, default=len(bins.classes), return_dtype=pl.Int64)
        return found.set(predictions.is_null(), None)
    edges = pl.Series(bins.edges, dtype=pl.Float64)
    numbers = predictions.cast(pl.Float64).fill_nan(None)
    return edges.search_sorted(numbers, side="right").cast(pl.Int64).set(numbers.is_null(), None)


def by_bin(records: pl.DataFrame, value: str, bins: Bins) -> dict[str, list[int]]:
    """Return the predictions of each side by bin.

    Args:
        records: Scored ones with `side` and `row`, n_rows.
        value: Column of the prediction.
        bins: Fixed before the start.
    """
    first = records.filter(pl.col("row") == 0)
    placed = first.select("side", place=bin_of(first[value], bins))
    counts = placed.group_by("side", "place").len()
    found = {(side, place): count for side, place, count in counts.iter_rows()}
    return {side: [found.get((side, place), 0) for place in range(bins.count)] for side in ("canary", "baseline")}
