"""`python -m registry.rollouts MODEL ROLLOUT`: writes one report, for the registry's process.

Exit 0: it is written, or can never be, which the log says. Exit 1: it may be tried again,
once somebody has mended what the log names.
"""

import argparse
import sys

import sqlalchemy as sa
import structlog

from flywheel.errors import FlywheelError, TransientError, UsageError
from flywheel.settings import load_settings
from flywheel.telemetry import configure_logs
from registry.doors.artifacts import find_artifacts
from registry.rollouts.report import find, keep
from registry.trail import open_trail

log = structlog.get_logger()


def main() -> int:
    """Write the report that the arguments name; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m registry.rollouts")
    parser.add_argument("model")
    parser.add_argument("rollout")
    asked = parser.parse_args()
    configure_logs(load_settings().log_level)
    try:
        find_artifacts()
        engine = open_trail("flywheel-reports")
        with engine.connect() as connection:
            record = find(connection, asked.model, asked.rollout)
        kept = keep(engine, record)
    except (TransientError, UsageError, sa.exc.DBAPIError) as fault:
        log.warning("the report is not written", rollout=asked.rollout, reason=str(fault).splitlines()[0])
        return 1
    except FlywheelError as fault:
        log.warning("no report", rollout=asked.rollout, reason=str(fault))
        return 0
    log.info("report", rollout=asked.rollout, run=kept.run_id, path=kept.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
