"""From a window and the packages of the versions that answered in it to a decision; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from flywheel.errors import DataError
from flywheel.package import ModelPackage
from flywheel.usecase import Task, UseCase
from monitoring.performance.answers import unseen_note, with_losses
from monitoring.performance.harm import Decision, Tolerance, Verdict, against_reference, decide
from monitoring.performance.measure import MEASURES
from monitoring.windows.window import Window


@dataclass(frozen=True)
class Judged:
    """A window with its labelled rows' losses and the decision about them."""

    window: Window
    rows: pl.DataFrame
    decision: Decision


def judge(window: Window, packages: Mapping[str, ModelPackage], use_case: UseCase) -> Judged:
    """Decide about a window by the packages of the versions that answered in it.

    Raises:
        DataError: One of them is missing, or was trained for another task.
    """
    task, monitor = use_case.task, use_case.monitor
    _refuse_other_tasks(packages, task)
    references = {version: package.profile.reference for version, package in packages.items()}
    contracts = {version: package.contract for version, package in packages.items()}
    rows = against_reference(with_losses(window.labelled, task, contracts), references)
    decision = decide(rows, references, Tolerance(monitor.retrain.margin, monitor.min_outcomes, MEASURES[task]))
    note = unseen_note(rows)
    if decision.verdict == Verdict.TOO_FEW:
        note += keyless_note(window.rows, use_case.data.entity)
    return Judged(window, rows, replace(decision, reason=decision.reason + note))


def _refuse_other_tasks(packages: Mapping[str, ModelPackage], task: Task) -> None:
    for version, package in packages.items():
        if package.usecase.task != task:
            raise DataError(
                f"Version {version} was trained for {package.usecase.task}, and this use case is {task}. "
                "Choose a window without it, or the use case that it was trained for."
            )


def keyless_note(rows: pl.DataFrame, key: str | None) -> str:
    """Return a sentence for predictions that no outcome can ever join, with a space before it; empty without any."""
    keyless = rows["entity"].null_count()
    if key is None or not keyless:
        return ""
    return f" {keyless:,} predictions came without their key '{key}', so no outcome can join them: send it in requests."
