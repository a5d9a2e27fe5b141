"""One window that a person names: judged as a look judges one, and what follows from it said, or why nothing does."""

from dataclasses import replace

import sqlalchemy as sa

from flywheel.alerts import Finding, alert_id
from flywheel.database import open_database
from flywheel.errors import StackError
from flywheel.events import EventKind, read
from flywheel.settings import Settings
from flywheel.storage import PredictionLog
from monitoring.alerts.desk import Desk
from monitoring.job import Result, Tools, judge_window, known_of, run_training
from monitoring.look import findings as say
from monitoring.look.parts import Begin, Part, silent
from monitoring.packages import Packages, digests_by_version
from monitoring.performance.harm import Verdict
from monitoring.reports.process import ReportProcess
from monitoring.reports.publication import Check
from monitoring.retraining.evidence import End, windows_of
from monitoring.retraining.policy import RetrainDecision
from monitoring.retraining.retrain import claim, project_folder
from monitoring.rows.question import Asked
from monitoring.windows.window import Span, read_window


def check(settings: Settings, request: Check, begin: Begin = silent) -> Result:
    """Check one window from the log to the retraining.

    Raises:
        FlywheelError: The stack is not there, the log cannot be read, or a version in the window has no package.
    """
    if request.start_training:
        project_folder(request.use_case_file)  # a harm must not be found before it turns out that nothing can train
    try:
        with open_database(settings, "monitoring") as engine:
            return _check(settings, engine, request, begin)
    except sa.exc.SQLAlchemyError as fault:
        what = str(fault).splitlines()[0]
        raise StackError(f"The database of the events fails: {what}. `flywheel status` shows what is down.") from fault


def _check(settings: Settings, engine: sa.Engine, request: Check, begin: Begin) -> Result:
    use_case, span = request.use_case, request.span
    log, packages = PredictionLog(settings.root / "log"), Packages(settings.root, use_case.name)
    with ReportProcess(settings.root) as reports:
        reports.start()  # it imports while the log is read
        begin(Part.LOG.doing())
        window = read_window(log, use_case, span)
        begin(Part.WINDOW.doing(str(span)))
        result = judge_window(settings, engine, request, window, Tools(packages, reports))
    begin(Part.DECISION.doing())
    decision = None
    if request.start_training:
        answering = packages.answering(digests_by_version(window.rows))
        known = known_of(
            request, answering, lambda start, end: read_window(log, use_case, Span(start, end, span.as_of))
        )
        decision = claim(engine, use_case, known)
    result = replace(result, training=why(decision, result, span), alert=_report(engine, request, result, decision))
    if decision is None or not decision.start:
        return result
    begin(Part.TRAINING.doing())
    training = run_training(settings, engine, request, decision)
    logs = say.training_logs(settings.root, use_case.name)
    found = list(say.of_training(decision.alert, training.fault, span.as_of, decision.next_sentence, logs))
    _tell(engine, request, found)
    return replace(result, retrained_version=training.version, fault=training.fault)


def why(decision: RetrainDecision | None, result: Result, span: Span) -> str:
    """Say what was decided about training, and why a window that shows harm starts none; '' where nothing asks."""
    if decision is None:
        return "Training was not to be started." if result.verdict == Verdict.HARM else ""
    if decision.reason is not None or result.verdict != Verdict.HARM:
        return decision.sentence if decision.is_news else ""
    evidence = decision.evidence
    registered = [one.as_of for one in evidence.attempts if one.end == End.REGISTERED]
    trained = max([*registered, *([evidence.trained_at] if evidence.trained_at is not None else [])], default=None)
    if trained is not None and span.start < trained:
        return (
            f"No training starts: the window begins before {trained:%Y-%m-%d}, up to which the newest version was"
            " trained, so what it shows is no evidence about that version."
        )
    newest = evidence.windows[-1] if evidence.windows else None
    if newest is not None and newest.end > span.end and newest.verdict != Verdict.HARM:
        return (
            f"No training starts: the newest judged window, {newest.start:%Y-%m-%d} to {newest.end:%Y-%m-%d}, is"
            f" {newest.verdict}, and harm counts where the newest window shows it."
        )
    return decision.sentence


def _report(engine: sa.Engine, request: Check, result: Result, decision: RetrainDecision | None) -> str:
    """Open, keep or end the alert of the loss, which tells of the newest judged window alone; say which it was."""
    span, name = request.span, request.use_case.name
    if result.verdict == Verdict.TOO_FEW:
        return ""
    with engine.connect() as connection:
        judged = windows_of(read(connection, EventKind.MONITOR_WINDOW, name), span.as_of)
    if judged[-1].end > span.end:
        last = judged[-1]
        later = f"the window from {last.start:%Y-%m-%d} to {last.end:%Y-%m-%d} was judged too ({last.verdict})"
        return f"No alert: {later}, and alerts tell of the newest." if result.verdict == Verdict.HARM else ""
    then = decision.next_sentence if decision is not None else "Nothing is trained by this check."
    asked = Asked(request.use_case_file, span.as_of)
    harmed = result.verdict == Verdict.HARM
    _tell(
        engine,
        request,
        [say.of_window(result.reason, span, result.report_url, asked, then)] if harmed else [],
        examined=("loss",),
    )
    return f"Alert {alert_id(name, 'loss', '')} (loss, critical) is open." if harmed else ""


def _tell(engine: sa.Engine, request: Check, found: list[Finding], examined: tuple[str, ...] = ("retraining",)) -> None:
    use_case = request.use_case
    Desk(engine).report(use_case.name, found, examined=examined, policy=use_case.monitor.alerts)
