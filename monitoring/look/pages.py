"""What people see of a look: a run in MLflow with the decisions and the pictures of drift. Nothing here raises."""

import json
from collections.abc import Mapping
from datetime import datetime

import structlog

from flywheel.connections import login
from flywheel.errors import FlywheelError
from flywheel.identities import MONITORING
from flywheel.settings import Settings
from flywheel.tracking import NOTE, Run, Tracking
from flywheel.usecase import UseCase
from monitoring.drift.decision import DriftDecision, Verdict
from monitoring.drift.plot import draw
from monitoring.look.looked import Looked, figures
from monitoring.look.told import lines, open_alerts
from monitoring.look.trail import Trail

logger = structlog.get_logger()


def show(settings: Settings, use_case: UseCase, looked: Looked, as_of: datetime, trail: Trail) -> str | None:
    """Write the page of a look where it has judged drift; return its address, None without one.

    Args:
        settings: Whose MLflow.
        use_case: That was looked at.
        looked: What was found.
        as_of: What was known then was used (naive UTC).
        trail: The evidence of earlier looks, which the pictures show before this one's.
    """
    judged = {version: decision for version, decision in looked.drift.items() if decision.looks}
    if not judged:
        return None
    try:
        tracking = Tracking.from_login(login(settings, MONITORING))
        run = _start(tracking, use_case, looked, judged, as_of)
        body = json.dumps(looked.body(), indent=2)
        tracking.upload(run, "look.json", body.encode())
        for version, decision in judged.items():
            picture = draw(decision, f"{use_case.name} version {version}", before=trail.get(version, ()))
            tracking.upload(run, f"drift-version-{version}.png", picture)
        tracking.end_run(run)
        return tracking.page(run)
    except FlywheelError as fault:
        logger.warning("no page of the look in MLflow", reason=str(fault))
        return None


def _start(
    tracking: Tracking, use_case: UseCase, looked: Looked, judged: Mapping[str, DriftDecision], as_of: datetime
) -> Run:
    """Start the run, with all that MLflow's list of runs shows: what was found comes first in its name."""
    name, verdicts = use_case.name, [decision.verdict for decision in judged.values()]
    verdict = (Verdict.DRIFT if Verdict.DRIFT in verdicts else verdicts[0]).value
    said = [*lines(name, looked.body()), open_alerts(name, len(looked.alerts))]
    note = "\n".join(f"- {text.removeprefix(name).lstrip(',: ')}" for text in said)
    tags = {NOTE: note, "verdict": verdict, "use_case": name, "window": f"look of {as_of:%Y-%m-%d %H:%M}"}
    title = f"{verdict}: look of {as_of:%Y-%m-%d %H:%M}, {name}"
    run = tracking.start_run(f"{name}-monitoring", title, tags, source="flywheel monitor")
    told = {key: value for key, value in figures(looked, use_case).items() if value is not None}
    tracking.log(run, {**told, "alerts": len(looked.alerts)}, {"as_of": as_of.isoformat()}, {})
    if looked.counts is not None:
        newest = f"{as_of - use_case.monitor.window:%Y-%m-%d} to {as_of:%Y-%m-%d}"
        tracking.log_dataset(run, newest, f"{looked.counts.answered:,} answers", f"log of {name}")
    return run
