"""A column's distribution before and now, in the few bars that a page can show."""

from itertools import pairwise

import numpy as np
import polars as pl

from flywheel.profile import ColumnProfile
from training.checks.finding import Comparison

BINS = 20
MAX_CATEGORIES = 8


def compare_distributions(values: pl.Series, before: ColumnProfile) -> Comparison | None:
    """Draw up the shares of both; None when there is nothing to show, as for times."""
    if before.type in ("string", "boolean"):
        return _categories(values, before)
    if before.type == "datetime" or not before.quantiles:
        return None
    return _numbers(values, before)


def _numbers(values: pl.Series, before: ColumnProfile) -> Comparison:
    """Cut the range of both, without the outermost 1 %, into bins of equal width; missing values are left out."""
    numbers = values.cast(pl.Float64).drop_nulls()
    now = np.sort(numbers.filter(numbers.is_finite()).to_numpy())
    old = np.asarray(before.quantiles)
    low = min(old[1], now[len(now) // 100]) if len(now) else old[1]
    high = max(old[-2], now[-1 - len(now) // 100]) if len(now) else old[-2]
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    inner = [-np.inf, *edges[1:-1], np.inf]
    grid = np.linspace(0, 1, len(old))
    # The share at or below an edge: quantiles that repeat are a jump, of which the upper end counts.
    below = [0.0, *(float(np.interp(edge, old, grid)) for edge in edges[1:-1]), 1.0]
    counts = np.diff(np.searchsorted(now, inner, side="left"))
    labels = tuple(f"{(a + b) / 2:.4g}" for a, b in pairwise(edges))
    return Comparison(before.type, labels, tuple(np.diff(below).tolist()), tuple((counts / max(len(now), 1)).tolist()))


def _categories(values: pl.Series, before: ColumnProfile) -> Comparison:
    text = values.cast(pl.String)
    rows = max(len(text), 1)
    counts = text.drop_nulls().value_counts(name="rows")
    now = {name: count / rows for name, count in counts.iter_rows()}
    ordered = sorted(
        before.categories.keys() | now.keys(), key=lambda name: -max(before.categories.get(name, 0), now.get(name, 0))
    )
    shown = ordered[:MAX_CATEGORIES]
    old_shares = [before.categories.get(name, 0.0) for name in shown]
    new_shares = [now.get(name, 0.0) for name in shown]
    labels = [name[:40] for name in shown]
    if len(ordered) > MAX_CATEGORIES:
        labels.append("others")
        old_shares.append(max(1 - before.missing_share - sum(old_shares), 0.0))
        new_shares.append(max(1 - text.null_count() / rows - sum(new_shares), 0.0))
    return Comparison(before.type, tuple(labels), tuple(old_shares), tuple(new_shares))
