"""Rows worth a look: the typical one, the extremes, and those where the model was most wrong."""

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.metrics import row_losses


def striking_rows(task: Task, label: Floats, prediction: Floats) -> list[tuple[int, str]]:
    """Return row indices with what is striking about each, without repeats; shapes as everywhere in training."""
    if task == "multiclass":
        found = _by_class(label, prediction)
    else:
        order = np.argsort(prediction, kind="stable")
        found = [
            (order[-1], "highest prediction"),
            (order[len(order) // 2], "typical"),
            (order[0], "lowest prediction"),
        ]
        if task == "binary":
            found += _extremes(label == 0, prediction, "most certain, and label is 0")
            found += _extremes(label == 1, -prediction, "least certain, and label is 1")
        else:
            found += _extremes(prediction > label, prediction - label, "furthest above its label")
            found += _extremes(prediction < label, label - prediction, "furthest below its label")
    first: dict[int, str] = {}
    for row, kind in found:
        first.setdefault(int(row), kind)
    return list(first.items())


def _by_class(label: Floats, prediction: Floats) -> list[tuple[int, str]]:
    sure = prediction.max(axis=1)
    order = np.argsort(sure, kind="stable")
    worst = np.argsort(-row_losses("multiclass", label, prediction), kind="stable")
    return [
        (int(order[-1]), "most certain"),
        (int(order[len(order) // 2]), "typical"),
        (int(order[0]), "least certain"),
        *((int(row), "most wrong") for row in worst[:2]),
    ]


def _extremes(among: npt.NDArray[np.bool_], size: Floats, kind: str) -> list[tuple[int, str]]:
    rows = np.flatnonzero(among)
    return [(int(rows[size[rows].argmax()]), kind)] if len(rows) else []
