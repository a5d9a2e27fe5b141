"""What people see of a look: a run in MLflow with the decisions and the pictures of drift. Nothing here raises."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from flywheel.connections import login
from flywheel.errors import FlywheelError
from flywheel.identities import MONITORING
from flywheel.settings import Settings
from flywheel.tracking import NOTE, Tracking
from flywheel.usecase import UseCase
from monitoring.drift.decision import DriftDecision
from monitoring.drift.plot import draw

logger = structlog.get_logger()


def show(
    settings: Settings, use_case: UseCase, body: Mapping[str, Any], drift: Mapping[str, DriftDecision], as_of: datetime
) -> str | None:
    """Write the page of a look where it has judged drift; return its address, None without one."""
    judged = {version: decision for version, decision in drift.items() if decision.looks}
    if not judged:
        return None
    try:
        tracking = Tracking.from_login(login(settings, MONITORING))
        reasons = " ".join(filter(None, (*(decision.reason for decision in judged.values()), body["earlier"])))
        tags = {NOTE: reasons, "verdict": next(iter(judged.values())).verdict.value}
        name = f"look {as_of:%Y-%m-%d %H:%M}"
        run = tracking.start_run(f"{use_case.name}-monitoring", name, tags, source="flywheel monitor")
        evidence = {"drift_evidence": max(decision.e_value for decision in judged.values())}
        tracking.log(run, evidence, {"as_of": as_of.isoformat()}, {})
        tracking.upload(run, "look.json", json.dumps(body, indent=2).encode())
        for version, decision in judged.items():
            picture = draw(decision, f"{use_case.name} version {version}")
            tracking.upload(run, f"drift-version-{version}.png", picture)
        tracking.end_run(run)
        return tracking.page(run)
    except FlywheelError as fault:
        logger.warning("no page of the look in MLflow", reason=str(fault))
        return None
