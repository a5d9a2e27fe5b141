"""`flywheel experiment start` and `stop` on the stack of this machine: their parts, wired.

The controller that stays carries it on; a `flywheel deploy` is not needed, nor does it hinder.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from deploy.experiments.plan import Experiment
from deploy.local import staying
from deploy.loop.experiment_looks import ExperimentLooks
from deploy.loop.experimenting import Start, Starting, stop
from deploy.loop.eyes import Eyes
from deploy.loop.leading import (
    Say,
    home_vigils,
    leading,
    local_target,
    log_measure,
    log_observatory,
    mlflow_registry,
    rollout_journal,
)
from deploy.loop.ledger import read_trail
from deploy.loop.planning import Planning
from flywheel.events import Event
from flywheel.serving import load_serving
from flywheel.settings import Settings


def start_experiment(
    settings: Settings, plan: Experiment, timeout: float, say: Say, *, dry_run: bool = False
) -> Iterator[str]:
    """Start an experiment unless that is only tried; say what it does.

    Raises:
        FlywheelError: It cannot start, or a part of the stack does not answer.
    """
    if dry_run:
        yield from _prepared(settings, plan, read_trail(settings)).lines()
        return
    with leading(settings, timeout, say) as ledger:
        prepared = _prepared(settings, plan, ledger.read())
        prepared.record(ledger)
    staying.start_controller(settings)
    yield from prepared.lines()
    yield f"It has started. `flywheel status` shows its arms, `flywheel experiment stop {plan.usecase}` ends it."


def stop_experiment(settings: Settings, usecase: str, because: str, wait: tuple[float, Say]) -> str:
    """End an experiment without a winner; say so.

    Args:
        settings: Whose home.
        usecase: Its name.
        because: Why; for the record.
        wait: Seconds to wait for another controller to end, and what is told of that.

    Raises:
        FlywheelError: None is under way, or a part of the stack does not answer.
    """
    now, journal = lambda: datetime.now(UTC), rollout_journal(settings)
    looks = ExperimentLooks(log_measure(settings), journal, now)
    eyes = Eyes(local_target(settings), journal, now, experiments=looks)
    with leading(settings, *wait) as ledger:
        rollout = stop(ledger, eyes, usecase, because)
    staying.start_controller(settings)
    back = rollout.old.version if rollout.old is not None else "–"
    return f"{rollout.name} ends without a winner: all requests go back to version {back}."


def _prepared(settings: Settings, plan: Experiment, events: list[Event]) -> Start:
    sticky = load_serving(settings.root).of(plan.usecase or "").sticky
    planning = Planning(local_target(settings), log_observatory(settings), home_vigils(settings).lately)
    starting = Starting(mlflow_registry(settings), planning, datetime.now(UTC), bool(sticky.header or sticky.cookie))
    return starting.prepare(plan, events)
