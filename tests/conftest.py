"""Fixtures for every package: one real stack a session, with Postgres, S3, MLflow and Envoy."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack.down import end_stack, erase
from flywheel.stack.status import stack_rows
from flywheel.stack.up import bring_up


@pytest.fixture(scope="session")
def stack() -> Iterator[Settings]:
    """Yield the settings of a running stack with a home of its own, which is gone afterwards.

    FLYWHEEL_TEST_HOME names a home to use instead: started when it does not run, and left running.
    """
    kept = os.environ.get("FLYWHEEL_TEST_HOME")
    if kept:
        settings = Settings(home=Path(kept))
        if not _healthy(settings):
            bring_up(settings, _say)
        yield settings
        return
    home = Path(tempfile.mkdtemp(prefix="flywheel-test-"))
    home.chmod(0o755)  # else Postgres, which runs as nobody for root, would have to live elsewhere
    settings = Settings(home=home)
    try:
        bring_up(settings, _say)
        yield settings
    finally:
        end_stack(settings, patience=5)
        erase(settings)
        shutil.rmtree(home, ignore_errors=True)


def _healthy(settings: Settings) -> bool:
    try:
        return all(row.healthy for row in stack_rows(settings))
    except StackError:
        return False


def _say(line: str) -> None:
    sys.stderr.write(f"stack: {line}\n")
