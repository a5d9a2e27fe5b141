"""One process leads: waits until no other controller does, and wires a controller's parts together."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from deploy.controller import Controller, Restoring
from deploy.gateway.admin import Gateway
from deploy.journal import Journal
from deploy.ledger import PostgresLedger, leadership
from deploy.local.target import LocalTarget
from deploy.packages import Packages
from deploy.passes import PROCESS, Passes, WatchedController, WatchedLedger
from deploy.textfile import Textfile
from deploy.versions import MlflowRegistry
from flywheel.connections import endpoints, login
from flywheel.database import open_database
from flywheel.errors import TransientError
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from flywheel.signing import trusted_key
from flywheel.tracking import Tracking

Say = Callable[[str], None]


@contextmanager
def leading(settings: Settings, timeout: float, say: Say) -> Iterator[PostgresLedger]:
    """Yield the audit trail once no other controller leads.

    Raises:
        TransientError: Another one has led for all of `timeout` seconds.
    """
    until, told = time.monotonic() + timeout, False
    with open_database(settings, "controller") as engine:
        while True:
            with leadership(engine) as ledger:
                if ledger is not None:
                    yield ledger
                    return
            if time.monotonic() > until:
                raise TransientError("Another controller has been at work all the time. Wait for it, or stop it.")
            if not told:
                say("Another controller is at work; waiting for it to end.")
                told = True
            time.sleep(1)


@contextmanager
def leading_controller(
    settings: Settings, timeout: float, say: Say, usecase: str | None = None, *, restores: bool = False
) -> Iterator[WatchedController]:
    """Yield a controller once this process leads.

    Args:
        settings: Whose home.
        timeout: Seconds to wait for another one to end.
        say: Is told that this waits.
        usecase: The only one to reconcile; all by default.
        restores: It only brings back what is live, and decides nothing.

    Raises:
        TransientError: Another one has led for all of `timeout` seconds.
    """
    registry = MlflowRegistry(Tracking.from_login(login(settings, CONTROLLER)))
    gateway = Gateway(endpoints(settings).envoy_admin_url)
    packages = Packages(settings.root / "packages", registry.download, registry.signature, trusted_key(settings.root))
    target = LocalTarget(settings, gateway, packages)
    journal = Journal(settings.root / "run" / "rollouts")
    with leading(settings, timeout, say) as ledger:
        passes = Passes(Textfile(settings.root, PROCESS))
        watched = WatchedLedger(ledger, passes)
        controller = Controller(watched, registry, target, journal, lambda: datetime.now(UTC), usecase)
        yield WatchedController(Restoring(controller) if restores else controller, passes)
