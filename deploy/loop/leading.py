"""One process leads: waits until no other controller does, and wires a controller's parts together."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from deploy.experiments.sources import look_of_log
from deploy.gateway.admin import Gateway
from deploy.hooks import installed
from deploy.local.target import LocalTarget, Told
from deploy.loop.controller import Controller, Restoring
from deploy.loop.experiment_looks import Measure
from deploy.loop.interfaces import Ledger
from deploy.loop.journal import Journal
from deploy.loop.ledger import PostgresLedger, leadership, open_ledger
from deploy.loop.observing import LogObservatory
from deploy.loop.passes import PROCESS, Passes, WatchedController, WatchedLedger
from deploy.loop.standing import Standing
from deploy.loop.vigil import Vigils
from deploy.packages import Packages
from deploy.versions import MlflowRegistry
from flywheel.connections import endpoints, login
from flywheel.errors import TransientError
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from flywheel.signing import trusted_key
from flywheel.storage import PredictionLog
from flywheel.textfile import Textfile
from flywheel.tracking import Tracking

Say = Callable[[str], None]
# The controller that stays leads for a pass at a time: within this one of its pauses is met.
QUIET_SECONDS = 5.0
RETRY_SECONDS = 0.1
# An MLflow whose Postgres stands still answers nothing either: a tick has harm to end meanwhile.
REGISTRY_SECONDS = 15.0


@contextmanager
def leading(settings: Settings, timeout: float, say: Say) -> Iterator[PostgresLedger]:
    """Yield the audit trail once no other controller leads.

    Raises:
        TransientError: Another one has led for all of `timeout` seconds.
    """
    began, told = time.monotonic(), False
    with open_ledger(settings) as engine:
        while True:
            with leadership(engine) as ledger:
                if ledger is not None:
                    yield ledger
                    return
            waited = time.monotonic() - began
            if waited > timeout:
                raise TransientError("Another controller has been at work all the time. Wait for it, or stop it.")
            if not told and waited > QUIET_SECONDS:
                say("Another controller is at work; waiting for it to end.")
                told = True
            time.sleep(RETRY_SECONDS)


@contextmanager
def leading_controller(
    settings: Settings,
    timeout: float,
    say: Say,
    usecase: str | None = None,
    *,
    told: Told | None = None,
    restores: bool = False,
) -> Iterator[WatchedController]:
    """Yield a controller once this process leads.

    Args:
        settings: Whose home.
        timeout: Seconds to wait for another one to end.
        say: Is told that this waits.
        usecase: The only one to reconcile; all by default.
        told: What is said against serving.yaml.
        restores: It only brings back what is live, and decides nothing.

    Raises:
        TransientError: Another one has led for all of `timeout` seconds.
    """
    target, journal = local_target(settings, told), rollout_journal(settings)
    with leading(settings, timeout, say) as ledger:
        passes = Passes(Textfile(settings.root, PROCESS))
        controller = wired(settings, WatchedLedger(ledger, passes), target, journal)
        controller.only = usecase
        ticking = Restoring(controller) if restores else controller
        yield WatchedController(ticking, passes, standing=Standing(settings.root))


def wired(settings: Settings, ledger: Ledger, target: LocalTarget, journal: Journal) -> Controller:
    """Return a controller of a home with all its parts."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
    observatory, registry = log_observatory(settings), mlflow_registry(settings)
    vigils = home_vigils(settings)
    parts: dict[str, Any] = {"hooks": installed(), "vigils": vigils, "measure": log_measure(settings)}
    return Controller(ledger, registry, target, journal, now, observatory=observatory, **parts)


def log_measure(settings: Settings) -> Measure:
    """Return what the prediction log of a home says of an experiment."""
    log = PredictionLog(settings.root / "log")
    return lambda plan, as_of: look_of_log(plan, log, as_of)


def log_observatory(settings: Settings) -> LogObservatory:
    """Return what the prediction log of a home knows."""
    return LogObservatory(PredictionLog(settings.root / "log"), packages_of(settings), lambda: datetime.now(UTC))


def mlflow_registry(settings: Settings) -> MlflowRegistry:
    """Return the registry as the controller's service user sees it."""
    return MlflowRegistry(Tracking.from_login(login(settings, CONTROLLER), most_seconds=REGISTRY_SECONDS))


def packages_of(settings: Settings) -> Packages:
    """Return the packages of a home, fetched from the registry and verified."""
    registry = mlflow_registry(settings)
    return Packages(settings.root / "packages", registry.download, registry.signature, trusted_key(settings.root))


def local_target(settings: Settings, told: Told | None = None) -> LocalTarget:
    """Return where the versions of a home run."""
    gateway = Gateway(endpoints(settings).envoy_admin_url)
    return LocalTarget(settings, gateway, packages_of(settings), told=told)


def home_vigils(settings: Settings) -> Vigils:
    """Return the vigils over what is live in a home."""
    return Vigils(settings.root / "run" / "vigils")


def rollout_journal(settings: Settings) -> Journal:
    """Return the looks of the rollouts of a home."""
    return Journal(settings.root / "run" / "rollouts")
