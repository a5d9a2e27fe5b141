"""Whether what a use case wants evaluated can be: asked before anything is trained."""

import polars as pl

from flywheel.errors import SpecError
from flywheel.usecase import Behaviour, Evaluate, Task


def check_wishes(evaluate: Evaluate, task: Task, inputs: pl.Schema, features: pl.Schema) -> None:
    """Check slices, costs, calibration and behaviours against the columns there are.

    Args:
        evaluate: The use case's section.
        task: Of the use case.
        inputs: Columns and types of the raw inputs.
        features: Columns and types of the features.

    Raises:
        SpecError: A column does not exist or has the wrong type, or the task has no such thing.
    """
    for column in evaluate.slices:
        if column not in inputs and column not in features:
            raise SpecError(f"evaluate.slices: column '{column}' is neither input nor feature. Correct its name.")
    if evaluate.costs is not None and task != "binary":
        raise SpecError(f"evaluate.costs: task {task} has no decision between 0 and 1. Remove them.")
    if evaluate.calibration in ("isotonic", "platt") and task == "regression":
        raise SpecError("evaluate.calibration: regression has no probabilities. Remove it, or write none.")
    for test in evaluate.behaviours:
        _check_behaviour(test, task, inputs)


def _check_behaviour(test: Behaviour, task: Task, inputs: pl.Schema) -> None:
    where = f"evaluate.behaviours: '{test.name}'"
    kind = inputs.get(test.column)
    if kind is None:
        raise SpecError(f"{where} changes '{test.column}', which is no input. Choose from: {', '.join(inputs)}.")
    if task == "multiclass" and test.expect != "same":
        raise SpecError(f"{where} expects {test.expect}, but several classes have no one direction. Expect same.")
    if test.set is None and not kind.is_numeric():
        raise SpecError(f"{where} adds or multiplies, but '{test.column}' is {kind}. Use set instead.")
    if test.set is not None and not _fits(test.set, kind):
        raise SpecError(f"{where} sets '{test.column}', which is {kind}, to {test.set!r}. Write a value of that type.")


def _fits(value: str | float | bool, kind: pl.DataType) -> bool:
    if isinstance(value, bool) or kind == pl.Boolean:
        return isinstance(value, bool) and kind == pl.Boolean
    if isinstance(value, str):
        return kind == pl.String
    return kind.is_float() or (kind.is_integer() and float(value).is_integer())
