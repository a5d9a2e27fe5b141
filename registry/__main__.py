"""`python -m registry`: the registry's own process; `flywheel up` runs it as the program `registry`.

It works on the database that MLFLOW_BACKEND_STORE_URI names, as the role that owns MLflow's tables, and reads the
webhooks of the file that FLYWHEEL_HOOKS names.
"""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from flywheel import events
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings
from flywheel.stack.registry_service import write_beat
from flywheel.stopping import stop_on_signals
from flywheel.telemetry import configure_logs
from registry.burst import GATE_QUESTIONS, Burst
from registry.guard.chain import ChainCheck
from registry.guard.watch import PointerWatch
from registry.hooks.consumers import Consumer, post_hooks
from registry.hooks.outbox import Outbox
from registry.hooks.roster import Roster
from registry.rollouts.keeper import ReportKeeper
from registry.service import Job, lead
from registry.trail import open_trail


def main() -> None:
    """Lead until SIGTERM or Ctrl-C."""
    settings = load_settings()
    configure_logs(settings.log_level)
    stop = stop_on_signals()
    engine = open_trail("flywheel-registry")

    def jobs(over: threading.Event) -> Sequence[Job]:
        with engine.begin() as connection:
            events.install(connection)
        told: list[Consumer] = [*post_hooks(), ReportKeeper(over)]
        outbox = Outbox(engine, Roster(_hooks_file(), told), over)
        return [PointerWatch(engine), ChainCheck(engine), outbox, _gates(engine, over)]

    lead(engine, jobs, stop, lambda state: write_beat(settings, state))
    engine.dispose()


def _hooks_file() -> Path | None:
    path = os.environ.get("FLYWHEEL_HOOKS")
    return Path(path) if path else None


def _gates(engine: sa.Engine, over: threading.Event) -> Burst:
    return Burst("gates", engine, GATE_QUESTIONS, [sys.executable, "-m", "registry.gates"], over)


if __name__ == "__main__":
    try:
        main()
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        sys.exit(fault.exit_code)
