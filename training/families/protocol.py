"""What a family of models is: its parameters, and how a model is fitted with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import optuna

from flywheel.statistics import Floats
from flywheel.usecase import Task
from training.data.dataset import Columns, Indices, Matrix

Value = float | int | str | bool
Params = Mapping[str, Value]


@dataclass(frozen=True)
class Evaluation:
    """Later rows on which a fit may stop early; never the rows that the final figures come from."""

    matrix: Matrix
    label: Floats


def _nothing(step: int, value: float) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class FitData:
    """What a fit gets.

    Args:
        matrix: (n_rows, n_features), NaN for missing, codes for categories.
        label: (n_rows,).
        columns: Names and categories of the features.
        task: Binary, multiclass or regression.
        n_classes: 2 for binary, 0 for regression.
        seed: Of everything random in the fit.
        threads: Most threads a fit may use.
        evaluation: Rows for early stopping; None when all rows are fitted (then `params` say how long).
        weight: (n_rows,), above 0: how much each row counts, such as newer ones more; None: all alike. Given only to
            families of which `takes_weights` is true.
        report: Told the loss on `evaluation` after some steps; may raise optuna.TrialPruned, which a family lets pass.
    """

    matrix: Matrix
    label: Floats
    columns: Columns
    task: Task
    n_classes: int
    seed: int
    threads: int
    evaluation: Evaluation | None = None
    weight: Floats | None = None
    report: Callable[[int, float], None] = _nothing

    @property
    def target(self) -> Floats | Indices:
        """Return the label as scikit-learn takes it: whole numbers for classes."""
        return targets(self.label, self.task)


def targets(label: Floats, task: Task) -> Floats | Indices:
    """Turn a coded label into what scikit-learn takes, which knows classes by their being no doubles."""
    return label if task == "regression" else label.astype(np.int64)


@dataclass(frozen=True)
class Fitted:
    """A fitted model and its parameters as they came out.

    `params` fit the same model again without early stopping: where it stopped after 83 trees, they say 83 trees.
    `model` has `predict_proba(matrix)` for classes and `predict(matrix)` for numbers, as in scikit-learn; what lacks
    them is asked through MLflow's pyfunc `predict` of its flavour.
    """

    model: Any
    params: Params


class Family(Protocol):
    """One kind of model. Holds no state: the same data, parameters, seed and threads give the same model.

    `flavor` names the MLflow module that stores the model: sklearn (as skops), xgboost, lightgbm, statsmodels, …
    """

    name: str
    tasks: frozenset[Task]
    flavor: str

    def defaults(self, task: Task) -> Params:
        """Return the parameters of the first trial."""

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        """Ask the trial for parameters.

        The trial sees each key of the answer behind the family's name and a dot (`xgboost.max_depth`), so that the same
        parameters can be put before another trial. What one choice excludes (a penalty's own strength) has its own key.
        """

    def fit(self, params: Params, data: FitData) -> Fitted:
        """Fit a model."""


def takes_weights(family: Family) -> bool:
    """Say whether a family heeds `FitData.weight`: by an attribute of that name, which a family may leave out."""
    return bool(getattr(family, "takes_weights", False))
