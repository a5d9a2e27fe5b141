"""Runs the registry's commands as a shell would, in this process."""

from typer.testing import CliRunner, Result

from flywheel.errors import FlywheelError
from registry.cli import app


def call(*words: str) -> Result:
    """Run `flywheel <words>`; a fault of ours is raised as it is."""
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, FlywheelError):
        raise result.exception
    return result


def run(*words: str) -> str:
    """Run what must succeed, and return what it printed."""
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.output
