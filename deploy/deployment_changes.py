"""What MLflow's deployment client may change: what `flywheel deploy` and `flywheel undeploy` do, and no more.

A version must have been approved before: nobody goes round the reviewers. The commands run as processes of their own,
so that a rollout outlives a notebook that does not wait for it.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.deployment_request import Change, check_wanted
from deploy.desired import Approval, approvals
from deploy.loop.fold import history_of
from deploy.loop.interfaces import Stages
from deploy.loop.ledger import read_trail
from deploy.loop.reconcile import ROLLED_BACK
from deploy.loop.rollout import History
from deploy.versions import MlflowRegistry
from flywheel.connections import login
from flywheel.errors import FlywheelError, UsageError
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from flywheel.tracking import Tracking

FLYWHEEL = (sys.executable, "-c", "from flywheel.cli import main; main()")


def open_registry(settings: Settings) -> Stages:
    """Return the registry as the controller sees it."""
    return MlflowRegistry(Tracking.from_login(login(settings, CONTROLLER)))


class Changes:
    """The changes that one home's engine is asked for.

    Args:
        settings: Whose home.
        registry: Opens the registry as the controller sees it.
        command: How to call `flywheel`.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Callable[[Settings], Stages] = open_registry,
        command: tuple[str, ...] = FLYWHEEL,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._command = command

    def deploy(self, usecase: str, version: str | None, change: Change) -> dict[str, Any]:
        """Have the newest approved version served, and return what came of it.

        Args:
            usecase: Its name.
            version: Must be that version; None where any will do.
            change: Whether to wait.

        Raises:
            FlywheelError: The version is not approved, was rolled back, or waits for people; says why.
        """
        if version is not None:
            check_wanted(version, *self._known(usecase, version))
        words = ["deploy", "--usecase", usecase, "--timeout", f"{change.timeout:g}"]
        if not change.wait:
            return {"outcome": "started", "log": str(self._begin(usecase, words))}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "result.json"
            code = self._run([*words, "--json", str(path)], (0, ROLLED_BACK))
            document = json.loads(path.read_text())
        found: dict[str, Any] = next(one for one in document["usecases"] if one["usecase"] == usecase)
        if code == ROLLED_BACK:
            raise FlywheelError(found["reason"])
        return {"outcome": "live", "version": found["champion"], "reason": found["reason"]}

    def undeploy(self, usecase: str, change: Change) -> None:
        """Take a use case out of service.

        Raises:
            FlywheelError: There is no reason, or `flywheel undeploy` refuses.
        """
        if not change.reason:
            raise UsageError(
                f"Say why '{usecase}' goes out of service, as config 'reason'; it stays in the audit trail."
            )
        self._run(["undeploy", usecase, "--reason", change.reason, "--timeout", f"{change.timeout:g}"], (0,))

    def control(self, usecase: str, change: Change) -> None:
        """Pause a rollout that is under way, or let it go on, as `flywheel pause` and `resume` do.

        Raises:
            FlywheelError: There is no reason to pause it, or the registry refuses.
        """
        control = str(change.control)
        if control == "pause" and not change.reason:
            raise UsageError(f"Say why the rollout of '{usecase}' is paused, as config 'reason'; it stays on record.")
        self._run([control, usecase, *(["--because", change.reason] if change.reason else [])], (0,))

    def _known(self, usecase: str, version: str) -> tuple[list[Approval], dict[str, str], History]:
        events = read_trail(self._settings)
        approved = approvals(events).get(usecase, [])
        asked = {version, *(one.served.version for one in approved)}
        stages = self._registry(self._settings).stages(usecase, asked)
        return approved, stages, history_of(events, usecase)

    def _run(self, words: list[str], expected: tuple[int, ...]) -> int:
        """Run a command to its end; what stands on stderr after `Error: ` says what was wrong."""
        done = subprocess.run(
            [*self._command, *words], env=self._environment(), capture_output=True, text=True, check=False
        )
        if done.returncode not in expected:
            said = done.stderr.rpartition("Error: ")[2].strip()
            raise FlywheelError(said or f"`flywheel {words[0]}` ended with {done.returncode}.")
        return done.returncode

    def _begin(self, usecase: str, words: list[str]) -> Path:
        """Start a command that nobody waits for; return its log."""
        path = self._settings.root / "logs" / f"deploy-{usecase}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                [*self._command, *words],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        threading.Thread(target=process.wait, daemon=True).start()  # who does not wait leaves no zombie either
        return path

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "FLYWHEEL_HOME": str(self._settings.root)}
