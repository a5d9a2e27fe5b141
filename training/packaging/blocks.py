"""The blocks of a version: its training rows, block by block, as monitoring holds later rows against them."""

import polars as pl

from flywheel.contract import Contract
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import Series
from flywheel.profiling.watched import ANSWERS, LABEL, PREDICTION, input_types
from flywheel.usecase import UseCase


def reference_blocks(rows: pl.DataFrame, contract: Contract, usecase: UseCase, answers: pl.DataFrame) -> Series:
    """Profile what a version was trained on, ready for its package.

    Args:
        rows: All labelled rows (n_rows, …): the contract's columns and the label.
        contract: Says which columns are inputs, and when a row was.
        usecase: Names the label, the task, and how long a block is.
        answers: (n_answers, 2): event time, and `prediction` as it is logged, of a model that has not seen the row.
            See `training.unseen`: what was answered to rows that a fit has seen is no measure for later answers.

    Returns:
        The inputs and `label` of all rows, and `prediction` where there is one.
    """
    time, every, kinds = contract.event_time, usecase.monitor.drift.block, ANSWERS[usecase.task]
    inputs = profile_rows(rows, input_types(contract), time, every=every)
    label = rows.select(pl.col(time), pl.col(usecase.data.label.column).alias(LABEL))
    labels = profile_rows(label, {LABEL: kinds[LABEL]}, time, every=every)
    predictions = profile_rows(answers, {PREDICTION: kinds[PREDICTION]}, time, every=every)
    return inputs.beside(labels).beside(predictions).published()
