"""The rows of a window of the log with answers, outcomes, losses and inputs, and odd reports of outcomes."""

from collections.abc import Mapping

import polars as pl

from flywheel.fields import read_fields
from flywheel.package import ModelPackage
from flywheel.profile import ColumnProfile, read_data_profile
from flywheel.records import LOGGED_OUTCOMES, answered
from flywheel.storage import PredictionLog, reading
from flywheel.usecase import UseCase
from monitoring.performance.answers import with_losses
from monitoring.rows.question import ANSWERS
from monitoring.windows.claims import flagged
from monitoring.windows.window import Span, Window

KEPT = ("prediction_id", "event_time", "model_version")
ODD = ("unknown", "before", "contradictory", "skewed")  # of reports: as `monitoring.windows.claims.Claims` has them


def window_rows(window: Window, use_case: UseCase, packages: Mapping[str, ModelPackage]) -> pl.DataFrame:
    """Return answered rows with `prediction`, `label`, `loss` and every input that a version's contract names.

    Raises:
        DataError: A version answered whose package is not here.
    """
    rows = window.rows
    contracts = {version: package.contract for version, package in packages.items()}
    judged = with_losses(rows, use_case.task, contracts)
    taken = (*KEPT, *ANSWERS)
    kinds = {
        column.name: column.type for one in contracts.values() for column in one.columns if column.name not in taken
    }
    label = pl.col("outcome") > 0.5 if use_case.task == "binary" else pl.col("outcome")  # 0 or 1
    answers = judged.select(*KEPT, "prediction", label.alias("label"), "loss")
    return answers.hstack(read_fields(rows, "inputs", kinds))


def profiles_of(package: ModelPackage) -> dict[str, ColumnProfile]:
    """Return what a version's columns looked like in training, by name."""
    if package.data_profile.is_file():
        columns: tuple[ColumnProfile, ...] = read_data_profile(package.data_profile).columns
    else:
        columns = package.profile.columns
    return {**{one.name: one for one in columns}, "prediction": package.profile.prediction}


def odd_reports(log: PredictionLog, use_case: UseCase, kind: str, span: Span) -> pl.DataFrame:
    """Return the reports of outcomes that became known in a span and are odd in one way, the newest first.

    Raises:
        StackError: The log cannot be read.
    """
    with reading(use_case.name):
        predictions = log.predictions(use_case.name, None, span.as_of)
        answers = answered(predictions, log.requests(use_case.name)).filter(pl.col("answered"))
        reports = log.scan(use_case.name, "outcomes", LOGGED_OUTCOMES).collect()
    own = (pl.col("time_known") >= span.start) & (pl.col("time_known") < span.end)
    found = flagged(reports, answers.select("prediction_id", "entity", "event_time"))
    said = "label" if use_case.task == "multiclass" else "outcome"
    kept = ["prediction_id", "entity", said, "event_time", "time_known", "recorded_time"]
    return found.filter(pl.col(kind) & own).select(kept).sort("time_known", descending=True)
