"""Likely leaks: inputs that nearly are the label, or whose presence tells it.

Each input alone predicts the label: fitted on the first 70 % of time, measured on the rest. No honest input alone comes
near the thresholds; one that does is most likely made from the label, or filled in after it.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.metrics import r2_score, roc_auc_score

from flywheel.statistics import Floats
from flywheel.usecase import Task

BINS = 256
TRAIN = 0.7
MIN_SIDE = 20  # labelled rows of a class, or of a side, below which nothing is said
THRESHOLD: dict[Task, float] = {"binary": 0.98, "multiclass": 0.98, "regression": 0.99}
MEASURE: dict[Task, str] = {"binary": "AUC", "multiclass": "accuracy", "regression": "R²"}
FILLED, EMPTY, PURE, MIXED = 0.95, 0.3, 0.99, 0.5
GAIN = 0.9  # of the way from always naming the most frequent class to being always right


@dataclass(frozen=True)
class Suspect:
    """An input that seems to know the label, and the reason as half a sentence."""

    column: str
    why: str


def find_leaks(inputs: pl.DataFrame, label: pl.Series, task: Task) -> list[Suspect]:
    """Look at each input alone.

    Args:
        inputs: Typed inputs, (n_rows, n_inputs), sorted by event time.
        label: Typed label, (n_rows,); missing while unknown.
        task: Says what the label is.
    """
    known = label.is_not_null()
    suspects = []
    for column in inputs:
        why = _tells_by_presence(column, label, task) or _tells_by_value(
            column.filter(known), label.filter(known), task
        )
        if why is not None:
            suspects.append(Suspect(column.name, why))
    return suspects


def _tells_by_presence(column: pl.Series, label: pl.Series, task: Task) -> str | None:
    filled, known = column.is_not_null(), label.is_not_null()
    unknown = int((~known).sum())
    if unknown >= MIN_SIDE and _share(filled, known) >= FILLED and _share(filled, ~known) <= EMPTY:
        empty = 1 - _share(filled, ~known)
        return f"it is filled only when the label is known (missing in {empty:.0%} of the rows whose label is missing)"
    if task == "regression":
        return None
    for side, word in ((filled & known, "filled"), (~filled & known, "missing")):
        other = known & ~side
        if min(int(side.sum()), int(other.sum())) < MIN_SIDE:
            continue
        top = label.filter(side).mode().to_list()[0]
        hit = (label == top).fill_null(False)  # a value
        if _share(hit, side) >= PURE and _share(hit, other) <= MIXED:
            return f"where it is {word}, the label is nearly always {top}"
    return None


def _tells_by_value(column: pl.Series, label: pl.Series, task: Task) -> str | None:
    cut = int(len(label) * TRAIN)
    if min(cut, len(label) - cut) < MIN_SIDE:
        return None
    codes, y = _codes(column, cut), _target(label, task)
    score = {"binary": _auc, "multiclass": _accuracy, "regression": _r2}[task](codes, y, cut)
    if task == "regression" and column.dtype.is_numeric():
        score = max(score, _linear(column.cast(pl.Float64).to_numpy(), y, cut))
    if not score >= THRESHOLD[task]:
        return None
    return f"alone it predicts the label of later rows with {MEASURE[task]} {score:.3f}"


def _codes(column: pl.Series, cut: int) -> Floats:
    """Code values: numbers by up to 256 quantile bins of the earlier rows, others by value; missing is a code too."""
    if column.dtype.is_temporal():
        column = column.cast(pl.Int64)
    if column.dtype.is_numeric():
        values = column.cast(pl.Float64).to_numpy()
        early = values[:cut][np.isfinite(values[:cut])]
        edges = np.unique(np.quantile(early, np.linspace(0, 1, BINS + 1))) if len(early) else np.empty(0)
        return np.where(np.isnan(values), -1.0, np.searchsorted(edges, values, side="right")).astype(np.float64)
    return column.cast(pl.String).rank("dense").fill_null(0).cast(pl.Float64).to_numpy()


def _target(label: pl.Series, task: Task) -> Floats:
    return (label.rank("dense") if task == "multiclass" else label).cast(pl.Float64).to_numpy()


def _means(codes: Floats, y: Floats, cut: int) -> Floats:
    """Return the later rows' mean of y among earlier rows of their code; the mean of all for a new code."""
    table = pl.DataFrame({"code": codes[:cut], "y": y[:cut]}).group_by("code").agg(pl.col("y").mean())
    later = pl.DataFrame({"code": codes[cut:]}).join(table, on="code", how="left", maintain_order="left")
    return later["y"].fill_null(float(y[:cut].mean())).to_numpy()


def _auc(codes: Floats, y: Floats, cut: int) -> float:
    later = y[cut:]
    if min(later.sum(), len(later) - later.sum()) < MIN_SIDE or not 0 < y[:cut].mean() < 1:
        return float("nan")
    return float(roc_auc_score(later, _means(codes, y, cut)))


def _accuracy(codes: Floats, y: Floats, cut: int) -> float:
    early = pl.DataFrame({"code": codes[:cut], "y": y[:cut]})
    best = early.group_by("code").agg(pl.col("y").mode().min())
    later = pl.DataFrame({"code": codes[cut:]}).join(best, on="code", how="left", maintain_order="left")
    top = early["y"].mode().to_list()[0]
    accuracy, plain = float((later["y"].fill_null(top).to_numpy() == y[cut:]).mean()), float((y[cut:] == top).mean())
    return accuracy if accuracy - plain >= GAIN * (1 - plain) else float("nan")


def _r2(codes: Floats, y: Floats, cut: int) -> float:
    return float(r2_score(y[cut:], _means(codes, y, cut))) if np.ptp(y[cut:]) else float("nan")


def _linear(x: Floats, y: Floats, cut: int) -> float:
    """Return R² of a straight line on later rows; rows without a value count as the mean."""
    there = np.isfinite(x)
    early = there[:cut]
    if early.sum() < MIN_SIDE or not np.ptp(x[:cut][early]) or not np.ptp(y[cut:]):
        return float("nan")
    slope, offset = np.polyfit(x[:cut][early], y[:cut][early], 1)
    guess = np.where(there, slope * np.where(there, x, 0.0) + offset, y[:cut].mean())
    return float(r2_score(y[cut:], guess[cut:]))


def _share(of: pl.Series, among: pl.Series) -> float:
    return float((of & among).sum()) / max(int(among.sum()), 1)
