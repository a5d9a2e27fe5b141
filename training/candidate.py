"""The chosen parameters as a model that has not seen the test rows: fitted, calibrated on validation, asked on test."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from flywheel.statistics import Floats
from training.data.dataset import Columns, Dataset, Rows
from training.data.split import days_of
from training.evaluation.calibration import choose_calibration
from training.evaluation.subject import Champion, Subject
from training.packaging.model_code import calibrate, encode, predict_matrix
from training.prepare import Prepared
from training.search.plan import SearchPlan
from training.search.search import Found
from training.search.trial import fit


@dataclass(frozen=True)
class Candidate:
    """The model fitted on the train part alone, its correction, and its corrected answers on the later parts."""

    model: Any
    calibration: dict[str, Any]
    validation: Floats
    test: Floats


def make_candidate(prepared: Prepared, dataset: Dataset, plan: SearchPlan, found: Found) -> Candidate:
    """Fit on train, choose the calibration on validation, and predict the test rows."""
    usecase, train = prepared.usecase, dataset.folds[-1].train
    model = fit(found.family, found.params, dataset, train, seed=plan.seed, threads=plan.threads).model
    raw = _ask(model, dataset, prepared.split.validation)
    calibration = choose_calibration(
        usecase.task,
        prepared.split.validation.take(dataset.label),
        raw,
        days_of(prepared.split.frame(prepared.split.validation)[prepared.split.time]),
        usecase.evaluate.calibration,
        seed=plan.seed,
    )
    tested = calibrate(_ask(model, dataset, dataset.test), calibration)
    return Candidate(model, calibration, calibrate(raw, calibration), tested)


def _ask(model: Any, dataset: Dataset, rows: Rows) -> Floats:
    return predict_matrix(model, rows.take(dataset.matrix), dataset.task)


def make_subject(
    prepared: Prepared, dataset: Dataset, plan: SearchPlan, candidate: Candidate, champion: Champion | None
) -> Subject:
    """Put together what the evaluation looks at."""
    split, usecase = prepared.split, prepared.usecase
    test, validation = split.frame(split.test), split.frame(split.validation)
    return Subject(
        task=usecase.task,
        classes=dataset.classes,
        inputs=test.select(prepared.inputs),
        event_time=split.time,
        features=prepared.features_of(test),
        label=dataset.test.take(dataset.label),
        prediction=candidate.test,
        day=days_of(test[split.time]),
        predict=partial(predict_inputs, prepared, dataset.columns, candidate),
        model=candidate.model,
        columns=dataset.columns,
        matrix=dataset.test.take(dataset.matrix),
        calibration=candidate.calibration,
        validation_label=split.validation.take(dataset.label),
        validation_prediction=candidate.validation,
        validation_day=days_of(validation[split.time]),
        baseline_label=split.train.take(dataset.label),
        evaluate=usecase.evaluate,
        metric=plan.metric,
        seed=plan.seed,
        champion=champion,
    )


def predict_inputs(prepared: Prepared, columns: Columns, candidate: Candidate, inputs: pl.DataFrame) -> Floats:
    """Go the whole way from raw inputs to corrected predictions, as the served model does."""
    matrix = encode(prepared.features_of(inputs), columns.document())
    return calibrate(predict_matrix(candidate.model, matrix, prepared.usecase.task), candidate.calibration)
