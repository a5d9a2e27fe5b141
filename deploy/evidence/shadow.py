"""What the champion and its shadow made of the same requests. Pure."""

from typing import Any

import numpy as np
import polars as pl

from deploy.evidence.losses import losses
from deploy.evidence.plan import EvidencePlan, Loss
from deploy.evidence.reader import OUTPUT
from deploy.evidence.waiting import SHADOW

# Predictions that are nearer than this agree: two backends differ by rounding.
SAME = 1e-5


def differences(judged: pl.DataFrame, plan: EvidencePlan, loss: Loss) -> list[float]:
    """Return the loss of the challenger less that of the champion, of each request the mean over its rows.

    Args:
        judged: Pairs with `outcome` and `label`, (n, …).
        plan: Names the task.
        loss: Its kind and bounds.
    """
    theirs, ours = losses(judged, plan, loss), losses(judged, plan, loss, SHADOW + OUTPUT)
    rows = judged.select("request_id").with_columns((ours - theirs).alias("value")).drop_nulls()
    return rows.group_by("request_id", maintain_order=True).agg(pl.col("value").mean())["value"].to_list()


def shown(pairs: pl.DataFrame, attempted: pl.DataFrame, plan: EvidencePlan) -> dict[str, Any]:
    """Return how the two differ: predictions and latency of each pair of rows, errors of each request."""
    return {
        "predictions": _predictions(pairs[OUTPUT + plan.value], pairs[SHADOW + OUTPUT + plan.value]),
        "errors": _errors(attempted),
        "latency_ms": _spread(pairs[f"{SHADOW}latency_ms"] - pairs["latency_ms"]),
    }


def _predictions(theirs: pl.Series, ours: pl.Series) -> dict[str, Any]:
    if theirs.dtype == pl.String:
        return {"pairs": theirs.len(), "differ": int((theirs != ours).sum())}
    off = (ours.cast(pl.Float64) - theirs.cast(pl.Float64)).abs()
    return {"pairs": theirs.len(), "differ": int((off > SAME).sum()), "absolute": _spread(off)}


def _errors(attempted: pl.DataFrame) -> dict[str, int]:
    """Return the four cells of McNemar's table (Psychometrika 12, 1947)."""
    theirs, ours = attempted["failed"], attempted[f"{SHADOW}failed"]
    return {
        "requests": attempted.height,
        "only_canary": int((ours & ~theirs).sum()),
        "only_champion": int((theirs & ~ours).sum()),
        "both": int((theirs & ours).sum()),
    }


def _spread(values: pl.Series) -> dict[str, float] | None:
    known = values.drop_nulls().drop_nans().to_numpy()
    return {"p50": float(np.quantile(known, 0.5)), "p99": float(np.quantile(known, 0.99))} if len(known) else None
