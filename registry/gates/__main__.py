"""`python -m registry.gates`: measures every version that waits; the registry's process starts it when there is one.

A process of its own, since MLflow and what the gates compute with weigh 200 MB and take seconds to import. So it stays
for a minute after its last work, and then ends.
"""

import signal
import sys
import threading
import time

import sqlalchemy as sa
import structlog

from flywheel.errors import FlywheelError, TransientError
from flywheel.settings import load_settings
from flywheel.telemetry import configure_logs
from registry.burst import GATE_QUESTIONS, newest
from registry.doors.artifacts import find_artifacts
from registry.gates.queue import GateJob
from registry.policy.in_force import in_force
from registry.trail import open_trail

log = structlog.get_logger()
LINGER_SECONDS = 60.0


def main() -> None:
    """Measure until nothing has waited for a minute, or SIGTERM comes."""
    configure_logs(load_settings().log_level)
    find_artifacts()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    engine = open_trail("flywheel-gates")
    measure_until_quiet(engine, stop, LINGER_SECONDS)
    engine.dispose()


def measure_until_quiet(engine: sa.Engine, stop: threading.Event, linger: float) -> None:
    """Measure what waits, and what comes while it does, until there was nothing new for `linger` seconds."""
    job = GateJob(engine, lambda connection: in_force(connection).policy, stop.is_set)
    seen, worked_at = -1, time.monotonic()
    while not stop.is_set() and time.monotonic() - worked_at < linger:
        with engine.connect() as connection:
            asked = newest(connection, GATE_QUESTIONS)
        if asked != seen:
            try:
                job.run()
                seen = asked
            except TransientError as fault:  # the job itself gives a version up after some tries
                log.warning("measured again later", reason=str(fault))
            worked_at = time.monotonic()
        stop.wait(job.seconds)


if __name__ == "__main__":
    try:
        main()
    except FlywheelError as fault:
        sys.stderr.write(f"Error: {fault}\n")
        sys.exit(fault.exit_code)
