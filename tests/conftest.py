"""Fixtures for every package: one real stack a session, with Postgres, S3, MLflow and Envoy."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack.down import end_stack, erase
from flywheel.stack.status import stack_rows
from flywheel.stack.up import bring_up

# How long an example takes is the machine's affair: time is measured in benchmarks/.
settings.register_profile("flywheel", deadline=None)
settings.load_profile("flywheel")

# No gate runs by itself here. Sections tighten that for models with names of their own.
POLICY: dict[str, Any] = {
    "people": {
        "ada": {"role": "data_scientist", "commits_as": ["ada@example.org"]},
        "grace": {"role": "reviewer", "commits_as": ["grace@example.org"]},
        "alan": {"role": "reviewer", "commits_as": ["alan@example.org"]},
        "olga": "operator",
        "vic": "viewer",
        "admin": "administrator",
        "root": "administrator",
    },
    "gates": {"required": []},
    "models": {
        "strict-two-*": {"approvals": 2},
        "known-*": {"unknown_contributors": "refuse"},
        "frozen-*": {
            "freeze": [{"reason": "A test.", "start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}],
        },
        "gated-*": {"gates": ["size", "card"]},
    },
}


@pytest.fixture(scope="session")
def stack() -> Iterator[Settings]:
    """Yield the settings of a running stack with a home of its own, which is gone afterwards.

    FLYWHEEL_TEST_HOME names a home to use instead: started when it does not run, and left running.
    """
    kept = os.environ.get("FLYWHEEL_TEST_HOME")
    if kept:
        settings = Settings(home=Path(kept))
        if not _healthy(settings):
            _write_policy(settings)
            bring_up(settings, _say)
        yield settings
        return
    home = Path(tempfile.mkdtemp(prefix="flywheel-test-"))
    home.chmod(0o755)  # else Postgres, which runs as nobody for root, would have to live elsewhere
    settings = Settings(home=home)
    try:
        _write_policy(settings)
        bring_up(settings, _say)
        yield settings
    finally:
        end_stack(settings, patience=5)
        erase(settings)
        shutil.rmtree(home, ignore_errors=True)


def _write_policy(settings: Settings) -> None:
    settings.root.mkdir(exist_ok=True)
    (settings.root / "policy.yaml").write_text(yaml.safe_dump(POLICY, sort_keys=False))


def _healthy(settings: Settings) -> bool:
    try:
        return all(row.healthy for row in stack_rows(settings))
    except StackError:
        return False


def _say(line: str) -> None:
    sys.stderr.write(f"stack: {line}\n")
