"""Metrics that the package's sample can tell by itself, computed without the libraries that training used for them."""

import numpy as np
import polars as pl

from flywheel.statistics import Floats, area_under_curve, row_losses
from registry.gates.sample import Sample


def sample_scores(sample: Sample) -> dict[str, float]:
    """Return the metrics of the sample's task by name; those that it cannot tell are left out."""
    if sample.task == "multiclass":
        return _classes(sample)
    label = sample.label
    prediction = np.asarray(sample.predicted.cast(pl.Float64).to_numpy(), dtype=np.float64)
    return _binary(label, prediction) if sample.task == "binary" else _numbers(label, prediction)


def average_precision(positive: Floats, score: Floats) -> float | None:
    """Return Σ (recall_k − recall_(k−1)) precision_k over falling scores, both (n_rows,); None without positives."""
    order = np.argsort(-score, kind="stable")
    hits, ranked = np.cumsum(positive[order] > 0), score[order]
    if not len(hits) or not hits[-1]:
        return None
    last = np.append(ranked[1:] != ranked[:-1], True)  # rows with equal scores pass the threshold together
    precision = hits[last] / (np.flatnonzero(last) + 1)
    recall = hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _binary(label: Floats, prediction: Floats) -> dict[str, float]:
    found = {
        "log_loss": float(row_losses("binary", label, prediction).mean()),
        "roc_auc": area_under_curve(label > 0, prediction),
        "average_precision": average_precision(label, prediction),
        "brier": float(np.mean((prediction - label) ** 2)),
    }
    return {name: value for name, value in found.items() if value is not None}


def _numbers(label: Floats, prediction: Floats) -> dict[str, float]:
    errors = prediction - label
    spread = float(np.sum((label - label.mean()) ** 2))
    found = {"rmse": float(np.sqrt(np.mean(errors**2))), "mae": float(np.mean(np.abs(errors)))}
    return {**found, "r2": 1 - float(np.sum(errors**2)) / spread} if spread else found


def _classes(sample: Sample) -> dict[str, float]:
    predicted, label = sample.predicted.to_numpy(), sample.labelled.to_numpy()
    scores = []
    for name in sorted({*predicted, *label}):
        hit = int(np.sum((predicted == name) & (label == name)))
        scores.append(2 * hit / (int(np.sum(predicted == name)) + int(np.sum(label == name))))
    return {"accuracy": float(np.mean(predicted == label)), "macro_f1": float(np.mean(scores))}
