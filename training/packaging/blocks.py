"""The blocks of a version: its training rows day by day, as monitoring holds later days against them."""

import polars as pl

from flywheel.contract import Contract
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import Series
from flywheel.profiling.watched import ANSWERS, LABEL, PREDICTION, input_types
from flywheel.usecase import Task
from training.packaging.reference import TestRows, predicted


def reference_blocks(
    rows: pl.DataFrame, label: str, contract: Contract, test: TestRows, *, task: Task, classes: tuple[str, ...]
) -> Series:
    """Profile what a version was trained on, ready for its package.

    Args:
        rows: All labelled rows (n_rows, …): the contract's columns and the label.
        label: The label's column.
        contract: Says which columns are inputs, and when a row was.
        test: The test rows with the answers of the model that has not seen them: of other rows there is none.
        task: What the model predicts; `classes` names the codes of several classes.
        classes: See `task`.

    Returns:
        A block a day: the inputs and `label` of all rows, `prediction` where there is one.
    """
    time, kinds = contract.event_time, ANSWERS[task]
    inputs = profile_rows(rows, input_types(contract), time)
    kind = {LABEL: kinds[LABEL]}
    labels = profile_rows(rows.select(pl.col(time), pl.col(label).alias(LABEL)), kind, time)
    answers = test.inputs.select(time).with_columns(predicted(test, task, classes))
    predictions = profile_rows(answers, {PREDICTION: kinds[PREDICTION]}, time)
    return inputs.beside(labels).beside(predictions).published()
