"""The command line: help with examples, one sentence a fault, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from flywheel import __version__


def flywheel(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "flywheel"), *arguments],
        capture_output=True,
        text=True,
        env={"PATH": str(Path(sys.executable).parent) + ":/usr/bin:/bin", **environment},
        timeout=60,
        check=False,
    )


def test_version_is_the_packages() -> None:
    assert flywheel("--version").stdout == f"flywheel {__version__}\n"


@pytest.mark.parametrize(
    "command", ["up", "down", "status", "env", "check", "approve", "deploy", "outcomes", "monitor", "drift", "demo"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = flywheel(command, "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout


def test_an_unknown_command_is_wrong_use() -> None:
    result = flywheel("fly")
    assert result.returncode == 2
    assert "No such command 'fly'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    result = flywheel("status", FLYWHEEL_MLFLOW_PORT="many", FLYWHEEL_HOME=str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.startswith("Error: FLYWHEEL_MLFLOW_PORT is wrong: ")
    assert result.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    plain = flywheel("env", "--user", "ada", FLYWHEEL_HOME=str(tmp_path))
    assert plain.returncode == 1
    assert plain.stderr == f"Error: No stack runs in {tmp_path}. Start one with `flywheel up`.\n"
    shown = flywheel("env", "--user", "ada", "--debug", FLYWHEEL_HOME=str(tmp_path))
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom flywheel.cli import build_app\nbuild_app()\n"
        "heavy = {'mlflow', 'pandas', 'polars', 'evidently', 'xgboost', 'sklearn', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
