"""One window judged: decision, report, record; and the training that the policy decides on.

The decision comes first and waits for nothing: neither a report that fails nor an MLflow that is down keeps the event
from being recorded; and a window that cannot be judged still gets its report.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import sqlalchemy as sa
import structlog

from flywheel.connections import login
from flywheel.errors import FlywheelError
from flywheel.events import EventKind, append
from flywheel.fields import read_fields
from flywheel.identities import MONITORING, TRAINING
from flywheel.package import ModelPackage
from flywheel.settings import Settings
from flywheel.storage import PredictionLog
from flywheel.tracking import Tracking
from flywheel.usecase import UseCase
from monitoring.packages import Packages, digests_by_version
from monitoring.performance.answers import with_losses
from monitoring.performance.judgement import Judged, judge
from monitoring.reports.process import ReportJob, ReportProcess
from monitoring.reports.publication import Check, finish, publish, publish_unjudged
from monitoring.reports.ui import FOLDER as WORKSPACE
from monitoring.retraining.evidence import Evidence
from monitoring.retraining.policy import RetrainDecision
from monitoring.retraining.retrain import Retraining, retrain
from monitoring.retraining.rows import RowWindow, choose_live_rows
from monitoring.windows.window import Span, Window, read_window

logger = structlog.get_logger()

YEAR = timedelta(days=365)  # how far back a change of the outcomes is looked for


@dataclass(frozen=True)
class Result:
    """What came of it; the losses are None where nothing could be computed.

    Attributes:
        verdict: quiet, harm or too few.
        reason: The sentence behind it.
        loss: Realised mean over rows of `loss_name`, with its interval from `low` to `high`.
        reference: What it is compared with.
        rows: Labelled rows.
        report_url: Address of the report in MLflow, or of the run's page when there is no report.
        run_id: Of monitoring's run.
        retrained_version: The version that a started training registered.
        training: What was done about training, in words; empty when the window gave no cause.
        alert: Which alert a window judged by hand opened, or why none; those of a look's windows are the look's.
        fault: Why a started training ended without a version.
    """

    verdict: str
    reason: str
    loss_name: str
    loss: float | None
    low: float | None
    high: float | None
    reference: float | None
    rows: int
    answered: int
    report_url: str | None = None
    run_id: str | None = None
    retrained_version: str | None = None
    training: str = ""
    alert: str = ""
    fault: str | None = None


@dataclass(frozen=True)
class Tools:
    """What judging windows needs beside the log: packages, each checked once, and one process for all reports."""

    packages: Packages
    reports: ReportProcess


def judge_window(settings: Settings, engine: sa.Engine, request: Check, window: Window, tools: Tools) -> Result:
    """Judge one window, record it and show it; no training.

    Args:
        settings: Whose home.
        engine: Of the database with the events, as monitoring.
        request: What is checked.
        window: Its rows.
        tools: Where packages and reports come from.

    Raises:
        FlywheelError: A version in the window has no package, or was trained for another task.
    """
    use_case, reports = request.use_case, tools.reports
    reports.start()  # it imports while the window is judged
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        packages = tools.packages.answering(digests_by_version(window.rows))
        job = _report_job(settings, use_case, window, packages, Path(folder))
        asked = reports if job is not None and _ask(reports, job) else None
        try:
            judged = judge(window, packages, use_case)
        except FlywheelError as fault:
            publish_unjudged(settings, request, fault, asked)
            raise
        page = publish(settings, request, judged)
        _record(engine, request, judged, page.run.run_id if page else None)
        result = _result(judged)
        if page is None:
            return result
        return replace(result, run_id=page.run.run_id, report_url=finish(page, asked))


def known_of(
    request: Check,
    packages: Mapping[str, ModelPackage],
    cut: Callable[[datetime, datetime], Window],
    drift: str | None = None,
) -> Evidence:
    """Return what a training may depend on beside the events: how old the newest version is, labels since, drift.

    Args:
        request: What is checked.
        packages: Of the versions that answered.
        cut: Gives the window from a start to an end, as known at the request's time.
        drift: What the drift alarm says.
    """
    use_case, now = request.use_case, request.span.as_of
    trained_at = max((package.lineage.as_of for package in packages.values()), default=None)
    if use_case.monitor.retrain.new_labels is None or trained_at is None or trained_at >= now:
        return Evidence(now, trained_at=trained_at, drift=drift)
    # What happened within the delay before it was trained had no label then.
    labelled = cut(trained_at - use_case.data.label.available_after, now).counts.labelled
    return Evidence(now, trained_at=trained_at, new_labels=labelled, drift=drift)


def _report_job(
    settings: Settings, use_case: UseCase, window: Window, packages: dict[str, ModelPackage], folder: Path
) -> ReportJob | None:
    """Write the rows of the version that answered most for the report; None when there is nothing to report on."""
    version, package = next(iter(packages.items()), (None, None))
    if version is None or package is None or package.usecase.task != use_case.task:
        return None
    contract = package.contract
    rows = window.rows.filter(pl.col("model_version") == version)
    inputs = read_fields(rows, "inputs", {column.name: column.type for column in contract.columns})
    judged = with_losses(rows, use_case.task, {version: contract})
    current = folder / "current.parquet"
    inputs.hstack(judged.select("prediction", pl.col("outcome").alias("label"))).write_parquet(current)
    return ReportJob(
        current=str(current),
        reference=str(package.reference),
        folder=str(folder),
        task=use_case.task,
        workspace=str(settings.root / WORKSPACE),
        use_case=use_case.name,
        window=str(window.span),
        at=window.span.end.isoformat(),
    )


def _ask(report: ReportProcess, job: ReportJob) -> bool:
    """Hand it over; False when the report's process has failed already."""
    try:
        report.ask(job)
    except FlywheelError as fault:
        logger.warning("no report", reason=str(fault))
        return False
    return True


def _record(engine: sa.Engine, request: Check, judged: Judged, run_id: str | None) -> None:
    span = {name: value.isoformat() for name, value in asdict(request.span).items()}
    body = {**judged.decision.body(), **span, **judged.window.counts.body(), "run_id": run_id}
    with engine.begin() as connection:
        append(connection, EventKind.MONITOR_WINDOW, request.use_case.name, MONITORING, body)


@dataclass(frozen=True)
class Training:
    """What was decided about training, and what came of it.

    Attributes:
        said: The decision in words; '' where nothing asks for one.
        decision: The whole.
        version: That was registered.
        fault: Why a started one ended without a version.
    """

    said: str
    decision: RetrainDecision
    version: str | None = None
    fault: str | None = None


def run_training(settings: Settings, engine: sa.Engine, request: Check, decision: RetrainDecision) -> Training:
    """Train where that was decided and recorded; it may take hours."""
    if not decision.start:
        return Training(decision.sentence if decision.is_news else "", decision)
    name, tracking = request.use_case.name, Tracking.from_login(login(settings, MONITORING))
    now = decision.evidence.now
    logger.info("training starts", use_case=name, as_of=str(now), reason=decision.sentence)
    retraining = Retraining(request.use_case_file, request.use_case, now, _rows(settings, request, now))
    try:
        version = retrain(settings, engine, retraining, lambda: _newest_of_robot(tracking, name))
    except FlywheelError as fault:
        return Training(decision.sentence, decision, fault=str(fault))
    return Training(decision.sentence, decision, version=version)


def _rows(settings: Settings, request: Check, now: datetime) -> RowWindow:
    """Choose the history to train on; only a search for a change reads the log for it."""
    policy = request.use_case.monitor.retrain
    if policy.rows != "change_point":
        return choose_live_rows(policy, now, pl.DataFrame())
    log = PredictionLog(settings.root / "log")
    return choose_live_rows(policy, now, read_window(log, request.use_case, Span(now - YEAR, now, now)).labelled)


def _newest_of_robot(tracking: Tracking, model: str) -> str | None:
    """Return the newest version that the robot author registered, None when there is none."""
    authored = (found for found in tracking.versions(model) if found.tags.get("flywheel.author") == TRAINING)
    return next((found.version for found in authored), None)


def _result(judged: Judged) -> Result:
    decision, numbers = judged.decision, judged.decision.numbers
    return Result(
        verdict=decision.verdict.value,
        reason=decision.reason,
        loss_name=numbers.loss_name,
        loss=numbers.loss,
        low=numbers.low,
        high=numbers.high,
        reference=numbers.reference,
        rows=numbers.rows,
        answered=judged.window.counts.answered,
    )
