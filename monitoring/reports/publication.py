"""What people see of a check: a run in MLflow with the sentence, the figures, the picture and Evidently's report.

Nothing here decides, and nothing here raises when MLflow or the report fails: the decision stands without its page.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from flywheel.connections import login
from flywheel.errors import FlywheelError
from flywheel.identities import MONITORING
from flywheel.settings import Settings
from flywheel.tracking import NOTE, Run, Tracking
from flywheel.usecase import UseCase
from monitoring.performance.judgement import Judged
from monitoring.performance.measure import MEASURES
from monitoring.reports.plot import draw
from monitoring.reports.process import ReportProcess
from monitoring.windows.window import Span

logger = structlog.get_logger()
REPORT_FOLDER = "evidently"
TAG_LENGTH = 500


@dataclass(frozen=True)
class Check:
    """What to check.

    Attributes:
        use_case_file: A usecase.yaml.
        use_case: What it says.
        span: Which window.
        start_training: Whether harm may start `mlflow run`.
    """

    use_case_file: Path
    use_case: UseCase
    span: Span
    start_training: bool


@dataclass(frozen=True)
class Page:
    """A run of monitoring that is still open."""

    tracking: Tracking
    run: Run


def publish(settings: Settings, request: Check, judged: Judged) -> Page | None:
    """Show the decision, its figures and its picture; None when MLflow cannot be had."""
    decision, title = judged.decision, f"{request.use_case.name}, {request.span}"
    times = {name: value.isoformat() for name, value in asdict(request.span).items()}
    measure = MEASURES[request.use_case.task]
    params = {**times, "margin": str(request.use_case.monitor.retrain.margin), "loss_name": measure.name}
    try:
        page = _open(settings, request, decision.reason, decision.verdict.value)
        page.tracking.log(page.run, _metrics(judged), params, {})
        rows = f"{judged.window.counts.answered:,} answers"
        page.tracking.log_dataset(page.run, str(request.span), rows, f"log of {request.use_case.name}")
        page.tracking.upload(page.run, "decision.json", json.dumps(decision.body(), indent=2).encode())
        if judged.rows.height:
            page.tracking.upload(page.run, "loss_by_day.png", draw(judged.rows, decision, title, measure))
    except FlywheelError as fault:
        logger.warning("no page in MLflow", reason=str(fault))
        return None
    return page


def publish_unjudged(settings: Settings, request: Check, fault: FlywheelError, report: ReportProcess | None) -> None:
    """Show the report on a window that cannot be judged, and why it cannot."""
    try:
        finish(_open(settings, request, f"Not judged: {fault}", "not judged"), report)
    except FlywheelError as second:
        logger.warning("no page in MLflow", reason=str(second))


def finish(page: Page, report: ReportProcess | None) -> str:
    """Add the report and end the run; return the address of the report, or of the run's page when there is none."""
    address, tags = page.tracking.page(page.run), {"report": "nothing to report on"}
    try:
        if report is not None:
            files = report.wait()
            for file in files:
                page.tracking.upload(page.run, f"{REPORT_FOLDER}/{file.name}", file.read_bytes())
            address, tags = page.tracking.page(page.run, f"{REPORT_FOLDER}/{files[0].name}"), {"report": "made"}
    except FlywheelError as fault:
        logger.warning("no report", reason=str(fault))
        tags = {"report": str(fault)[:TAG_LENGTH]}
    try:
        page.tracking.log(page.run, {}, {}, tags)
        page.tracking.end_run(page.run)
    except FlywheelError as fault:
        logger.warning("the run in MLflow stays open", reason=str(fault))
    return address


def _open(settings: Settings, request: Check, note: str, verdict: str) -> Page:
    tracking = Tracking.from_login(login(settings, MONITORING))
    name, window = request.use_case.name, str(request.span)
    tags = {NOTE: note, "verdict": verdict, "window": window, "use_case": name}
    # The verdict first: MLflow's list shows some twenty characters of a name.
    title = f"{verdict}: {window}, {name}"
    return Page(tracking, tracking.start_run(f"{name}-monitoring", title, tags, source="flywheel monitor"))


def _metrics(judged: Judged) -> dict[str, float]:
    figures = {**judged.decision.body(), **judged.window.counts.body()}
    return {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
