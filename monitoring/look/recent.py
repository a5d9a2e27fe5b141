"""What the newest answers of a version are worth: realised where outcomes are known, estimated where they are not."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from flywheel.fields import read_fields
from flywheel.package import ModelPackage
from flywheel.usecase import UseCase
from monitoring.concept.days import Days
from monitoring.performance.answers import with_losses
from monitoring.performance.estimation import known_rows
from monitoring.performance.expected_classes import with_probabilities
from monitoring.performance.outlook import Outlook, outlooks
from monitoring.performance.summary import Summary, summarise
from monitoring.windows.grid import windows

WINDOWS = 13  # of the past, by whose errors an estimate is corrected and judged


def summary_of(rows: pl.DataFrame, use_case: UseCase, packages: Mapping[str, ModelPackage]) -> Summary | None:
    """Summarise the answers (n_rows) whose outcome is known; None without any.

    Raises:
        DataError: A version among them has no package here.
    """
    contracts = {version: package.contract for version, package in packages.items()}
    labelled = with_losses(rows.filter(pl.col("outcome").is_not_null()), use_case.task, contracts)
    return None if labelled.is_empty() else summarise(labelled, use_case, contracts)


def outlook_of(
    judged: pl.DataFrame, use_case: UseCase, package: ModelPackage, *, as_of: datetime, changes: Sequence[datetime]
) -> Outlook | None:
    """Estimate the newest window of one version by its answers alone; None without any.

    Args:
        judged: All its answers (n_rows) of some windows, as `monitoring.performance.answers.with_losses` returns them.
        use_case: Its task and window.
        package: Of the version.
        as_of: The newest window is the last of the grid that is over then (naive UTC).
        changes: Since when the losses are known to have changed.
    """
    if judged.is_empty():
        return None
    version, contract, task = str(judged["model_version"][0]), package.contract, use_case.task
    kept, reference = pl.read_parquet(package.reference), None
    if task == "multiclass":  # the sample holds no probabilities of classes
        judged, sample = with_probabilities(judged, {version: contract}), pl.DataFrame()
        right = kept["prediction"].cast(pl.String) == kept["label"].cast(pl.String)
        accuracy = float(right.sum()) / max(right.count(), 1)
        reference = {"log_loss": package.profile.reference.loss, "accuracy": accuracy}
    else:
        sample = known_rows(version, kept, task)
        if contract.event_time != "event_time":
            sample = sample.rename({contract.event_time: "event_time"})
    if task == "regression":
        judged = judged.hstack(_inputs(judged, contract.event_time, package))
    length = use_case.monitor.window
    spans = windows(as_of - WINDOWS * length, as_of, length)
    found = outlooks(judged, spans, sample, task, costs=use_case.evaluate.costs, changes=changes, reference=reference)
    return found[-1] if found else None


def changes_of(concept: Days | None) -> list[datetime]:
    """Return since when the losses are known to have changed."""
    marks = [alarm.since_mark for alarm in concept.alarms] if concept is not None else []
    return [datetime(1970, 1, 1) + timedelta(days=mark) for mark in marks if mark is not None]


def _inputs(rows: pl.DataFrame, event_time: str, package: ModelPackage) -> pl.DataFrame:
    """Return the raw inputs but for the event time, which the rows have."""
    kinds = {one.name: one.type for one in package.contract.columns if one.name != event_time}
    return read_fields(rows, "inputs", kinds)
