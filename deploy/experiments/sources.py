"""Where units come from: a file, or the prediction log."""

from datetime import datetime
from pathlib import Path

from deploy.experiments.logged import units_of_log
from deploy.experiments.plan import Experiment
from deploy.experiments.table_file import read_table
from deploy.experiments.units import Units, units_of_table
from flywheel.errors import UsageError
from flywheel.records import answered
from flywheel.storage import PredictionLog


def units_from(plan: Experiment, data: Path | None, log_root: Path, now: datetime) -> Units:
    """Read a file of units, or without one the log of the plan's use case.

    Raises:
        UsageError: The plan names no use case that has a log, or the data are not as documented.
    """
    if data is not None:
        return units_of_table(plan, read_table(data), str(data))
    log = PredictionLog(log_root)
    if plan.usecase is None:
        raise UsageError(f"Experiment '{plan.name}' names no usecase. Name one there, or give --data FILE.")
    if plan.usecase not in log.use_cases():
        known = ", ".join(log.use_cases()) or "none"
        raise UsageError(f"Use case '{plan.usecase}' has no predictions here. Known: {known}.")
    begin = plan.begin
    start = begin - plan.covariate.before if begin is not None and plan.covariate is not None else begin
    predictions = answered(log.predictions(plan.usecase, start=start), log.requests(plan.usecase))
    return units_of_log(plan, predictions, log.outcomes(plan.usecase), now)
