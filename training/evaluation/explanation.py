"""What moves the model: contributions of features over all rows, and for a handful of rows that are worth a look."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xgboost

from training.data.dataset import Columns, Matrix
from training.evaluation.outputs import Output
from training.evaluation.report import Beeswarm, Contribution, Explanation, Importance, LocalExplanation
from training.evaluation.shapley import Shapley, additive, sampled
from training.evaluation.striking import striking_rows
from training.evaluation.subject import Subject
from training.evaluation.tree_shap import ForestExplainer, xgboost_values

MOST_ROWS = 1024
FEWEST_ROWS = 64  # an exact explanation of fewer rows says less than a sampled one of more
PILOT, GROWTH = 8, 4
SECONDS = 2.5
BACKGROUND, LOCAL_BACKGROUND, ADDITIVE_BACKGROUND = 16, 48, 256
SHOWN = 8  # contributions of one row; the others are added up

Explainer = Callable[[Matrix], Shapley]


@dataclass(frozen=True)
class Method:
    """A way to explain this model: `many` for the sample of rows, `few` for the striking ones."""

    name: str
    many: Explainer
    few: Explainer


def explain(subject: Subject, *, clock: Callable[[], float] = time.perf_counter) -> Explanation:
    """Explain a sample of the test rows, as large as a few seconds by `clock` allow, and some striking ones."""
    output = Output(subject.model, subject.task)
    order = np.random.default_rng(subject.seed).permutation(len(subject.label))
    method = choose_method(subject, output, order, clock)
    found = explain_in_time(method.many, subject.matrix[order[:MOST_ROWS]], clock)
    rows = order[: len(found.values)]
    return Explanation(
        method=method.name,
        unit=output.unit,
        rows=len(rows),
        importances=_importances(found, subject.columns),
        local=_local(subject, method, output),
        beeswarm=_beeswarm(found, subject, rows),
    )


def choose_method(subject: Subject, output: Output, order: npt.NDArray[np.int64], clock: Callable[[], float]) -> Method:
    """Take the first that is exact for this model and quick enough; otherwise sample."""
    model, matrix = subject.model, subject.matrix
    if isinstance(model, xgboost.XGBModel):

        def boosted(rows: Matrix) -> Shapley:
            return xgboost_values(model, rows)

        return Method("TreeSHAP (XGBoost)", boosted, boosted)
    wide, pilot = matrix[order[-ADDITIVE_BACKGROUND:]], matrix[order[:PILOT]]
    if additive(output, pilot, wide[:PILOT]).explains(output(pilot)):

        def summed(rows: Matrix) -> Shapley:
            return additive(output, rows, wide)

        return Method("exact Shapley values of an additive model", summed, summed)
    if ForestExplainer.knows(model, matrix):
        forest = ForestExplainer(model, matrix)
        right = forest(pilot).explains(output(pilot))  # the first call also compiles, which is not to be timed
        started = clock()
        forest(pilot)
        if right and (clock() - started) / len(pilot) * FEWEST_ROWS < SECONDS:
            return Method("TreeSHAP (SHAP)", forest, forest)
    return Method(
        f"Shapley values sampled against {BACKGROUND} rows",
        lambda rows: sampled(output, rows, matrix[order[-BACKGROUND:]], subject.seed),
        lambda rows: sampled(output, rows, matrix[order[-LOCAL_BACKGROUND:]], subject.seed),
    )


def explain_in_time(explainer: Explainer, matrix: Matrix, clock: Callable[[], float]) -> Shapley:
    """Explain the first 8, 32, 128 … rows, until four times as many would take too long.

    Sizes grow in such steps so that the same machine mostly explains the same rows.
    """
    rows = PILOT
    while True:
        started = clock()
        found = explainer(matrix[:rows])
        if rows >= len(matrix) or GROWTH * (clock() - started) > SECONDS:
            return found
        rows *= GROWTH


def _importances(found: Shapley, columns: Columns) -> tuple[Importance, ...]:
    sizes = np.abs(found.values).mean(axis=0)  # (n_features, n_outputs)
    by_class = sizes if sizes.shape[1] > 1 else sizes[:, :0]
    total = sizes.mean(axis=1)
    return tuple(
        Importance(feature=columns.names[index], value=float(total[index]), by_class=tuple(by_class[index].tolist()))
        for index in np.argsort(-total, kind="stable")
    )


def _beeswarm(found: Shapley, subject: Subject, rows: npt.NDArray[np.int64]) -> Beeswarm | None:
    if found.values.shape[2] > 1:
        return None
    values = subject.matrix[rows].astype(np.float64)
    return Beeswarm(features=subject.columns.names, values=values, contributions=found.values[:, :, 0])


def _local(subject: Subject, method: Method, output: Output) -> tuple[LocalExplanation, ...]:
    chosen = striking_rows(subject.task, subject.label, subject.prediction)
    rows = np.array([row for row, _ in chosen])
    matrix = subject.matrix[rows]
    found, outputs = method.few(matrix), output(matrix)
    explained = []
    for index, (row, kind) in enumerate(chosen):
        told = subject.prediction[row] if subject.prediction.ndim == 2 else subject.prediction[row : row + 1]
        place = int(told.argmax())
        amounts = found.values[index, :, place]
        order = np.argsort(-np.abs(amounts), kind="stable")
        explained.append(
            LocalExplanation(
                row=row,
                kind=kind,
                of_class=subject.classes[place] if subject.classes else "",
                label=float(subject.label[row]),
                prediction=float(told[place]),
                output=float(outputs[index, place]),
                base=float(found.base[place]),
                contributions=tuple(
                    Contribution(
                        feature=subject.columns.names[column],
                        value=show_value(subject.columns, column, float(matrix[index, column])),
                        amount=float(amounts[column]),
                    )
                    for column in order[:SHOWN]
                ),
                others=float(amounts[order[SHOWN:]].sum()),
            )
        )
    return tuple(explained)


def show_value(columns: Columns, column: int, value: float) -> str:
    """Write a matrix's value as a person would: the category of a code, a short number, or missing."""
    if np.isnan(value):
        return "missing"
    categories = columns.categories[column]
    return categories[int(value)] if categories is not None else f"{value:.4g}"
