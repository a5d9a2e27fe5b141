"""Decisions as findings: what is wrong, since when, how sure, which rows to look at, what happens next. Pure."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from flywheel.alerts import Finding, Severity
from monitoring.alerts.together import MOST_NAMED
from monitoring.concept.days import Days
from monitoring.concept.finding import Verdict
from monitoring.look.inputs import Inputs
from monitoring.performance.slices import Slices
from monitoring.rows.question import LOSS, Asked, Question
from monitoring.skew.release import Release
from monitoring.windows.claims import Claims
from monitoring.windows.index import Quarantined
from monitoring.windows.window import Span

EPOCH = date(1970, 1, 1)
RECENT = timedelta(days=14)  # a change of the loss that lies farther back has been told
FEW_REPORTS, ODD = 5, 0.01  # of reports of outcomes: more odd ones than both are a finding
LOUD = 0.05  # of rows: more unusual ones than that are a finding


def of_window(reason: str, span: Span, report: str | None, asked: Asked, then: str) -> Finding:
    """Return the finding of a window that shows harm; `report` is the address of Evidently's."""
    sure = "The 95 % interval of the difference, by days, lies above the margin."
    said = f"{reason} Report: {report}" if report else reason
    where = asked.command(span.start, Question(by=LOSS), span.end)
    return Finding("loss", "", Severity.CRITICAL, said, span.start.isoformat(), sure, where, then)


def of_estimate(body: Mapping[str, Any], asked: Asked, then: str) -> Finding:
    """Return the finding of a window whose estimate shows harm before its outcomes have come."""
    sure = "Estimated: its interval, from errors of earlier estimates, lies above the margin."
    start, end = (datetime.fromisoformat(str(body[name])) for name in ("start", "end"))
    where = asked.command(start, Question(("prediction",)), end)
    return Finding("loss", "", Severity.WARNING, str(body["reason"]), start.isoformat(), sure, where, then)


def of_concept(days: Days, as_of: datetime, asked: Asked, then: str) -> Iterator[Finding]:
    """Yield a change of the daily losses that is recent."""
    newest = days.newest
    if not newest.alarm or newest.since_mark is None or newest.at_mark is None:
        return
    since = EPOCH + timedelta(days=newest.since_mark)
    if EPOCH + timedelta(days=newest.at_mark) < (as_of - RECENT).date():
        return
    first = f" The first {days.tested:,} days are those of its test rows." if days.tested else ""
    sure = f"Evidence {newest.e_value:,.3g}, an alarm from {newest.threshold:,.0f} on.{first}"
    worse = newest.verdict is Verdict.WORSE
    severity, follows = (Severity.WARNING, then) if worse else (Severity.INFO, "Nothing: less loss does no harm.")
    where = asked.command(datetime.combine(since, time()) + timedelta(days=1), Question(by=LOSS))
    yield Finding("concept", "", severity, newest.reason, since.isoformat(), sure, where, follows)


def of_inputs(inputs: Inputs, version: str, since: datetime, asked: Asked) -> Iterator[Finding]:
    """Yield what is wrong with the newest rows of a version, those from `since` on (naive UTC)."""
    then, until = "Nothing by itself: see whoever sends it.", inputs.until.isoformat()
    agreement = inputs.agreement
    if not agreement.agrees:
        first = agreement.differences[0]
        sure = f"Certain: {first.rows:,} of {first.compared:,} rows, computed again."
        look = f"flywheel log find {first.prediction_id}"
        began = first.event_time.isoformat()
        yield Finding("skew", version, Severity.CRITICAL, agreement.reason, began, sure, look, then)
    for one in inputs.stale:
        sure = f"{one.share:.0%} of the rows lie beyond what all but one in a thousand had."
        where = asked.command(since, Question((one.column,), version=version))
        yield Finding("freshness", one.column, Severity.WARNING, one.reason, until, sure, where, then)
    if inputs.unusual is not None and inputs.unusual > LOUD:
        what = f"{inputs.unusual:.0%} of the rows are stranger than all but one in a thousand were in training."
        look = f"flywheel log find {inputs.strangest}"
        sure = f"Counted. The strangest: {inputs.why}."
        yield Finding("anomaly", version, Severity.WARNING, what, until, sure, look, then)


def of_release(release: Release, asked: Asked) -> Iterator[Finding]:
    """Yield that the first live rows of a version are unlike those it was trained on."""
    if release.moved:
        key, sure = (
            f"version {release.version}",
            "One release in a hundred, at most, is told of a move that chance made.",
        )
        then = "Nothing by itself: where it is not the season, see how the service fills these columns."
        columns = tuple(one.column for one in release.moved[:MOST_NAMED])
        where = asked.command(release.start, Question(columns, version=release.version), release.end)
        yield Finding("release", key, Severity.WARNING, release.reason, release.start.isoformat(), sure, where, then)


def of_slices(slices: Slices, since: datetime, asked: Asked) -> Iterator[Finding]:
    """Yield the part of a window on which the model is worst, where that is shown."""
    worst = slices.worst
    if worst is not None:
        sure = "The interval holds for all parts together and lies above 0."
        then, key = "Nothing by itself.", f"{worst.column}={worst.value}"
        where = asked.command(since, Question(having=((worst.column, worst.value),), by=LOSS))
        yield Finding("slice", key, Severity.INFO, slices.reason, since.isoformat(), sure, where, then)


def of_outcomes(claims: Claims, as_of: datetime, asked: Asked) -> Iterator[Finding]:
    """Yield what is odd about the outcomes that were reported, each kind of oddity that more than a few have."""
    sentences = {
        "unknown": "belong to no prediction",
        "before": "tell of an event before their prediction",
        "contradictory": "say two things of one event at the same time",
        "skewed": "were known before their event, or after the log had taken them: a clock is wrong",
    }
    for name, what in sentences.items():
        count = claims.body()[name]
        if count > max(FEW_REPORTS, ODD * claims.reports):
            said = f"{count:,} of {claims.reports:,} reports of outcomes {what}."
            then = "They join nothing, or the last one counts: see whoever reports them."
            yield Finding(
                "outcomes", name, Severity.INFO, said, as_of.isoformat(), "Counted.", asked.reports(name), then
            )


def of_files(files: Iterable[Quarantined], as_of: datetime, folder: Path) -> Iterator[Finding]:
    """Yield files of the log that cannot be read; `folder` is the use case's in the log."""
    for one in files:
        what = f"File {one.file} of the log's {one.table} cannot be read; its rows are missing from every decision."
        then, look = "It is tried again at each look.", f"ls -l {shlex.quote(str(folder / one.table / one.file))}"
        yield Finding("log", one.file, Severity.CRITICAL, what, as_of.isoformat(), "Certain.", look, then)


def of_failures(failures: Sequence[tuple[str, str]], as_of: datetime, file: Path) -> Iterator[Finding]:
    """Yield parts of the look that failed; the others have been made."""
    look = shlex.join(["flywheel", "monitor", str(file.resolve()), "--no-start-training"])
    for part, reason in failures:
        what = f"{part} could not be judged: {reason}"
        then, sure = "It is tried again at the next look.", "It has failed; nothing is known of it."
        yield Finding("look", part, Severity.WARNING, what, as_of.isoformat(), sure, look, then)


def training_logs(home: Path, use_case: str) -> str:
    """Return the pattern of the files that trainings which monitoring started leave in a home."""
    return str(home / "logs" / f"retrain-{use_case}-*.log")


def of_training(alert: str | None, fault: str | None, as_of: datetime, then: str, logs: str) -> Iterator[Finding]:
    """Yield what people should know of retraining; `logs` is a pattern of the files that tell more."""
    said = " ".join(filter(None, (alert, fault)))
    if said:
        look = f"tail -n 40 {logs}"
        yield Finding("retraining", "", Severity.WARNING, said, as_of.isoformat(), "Certain.", look, then)
