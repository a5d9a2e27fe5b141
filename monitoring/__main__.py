"""`python -m monitoring --usecase FILE …`: entry point `monitor` of the MLproject; the same as `flywheel monitor`."""

import sys

import typer

from flywheel import edge
from monitoring.cli import EXAMPLE, monitor


def monitor_alone(debug: bool) -> typer.Typer:
    """Return the one command: where MLflow made the environment, no entry points of an installed Flywheel are."""
    alone = typer.Typer()
    alone.command(epilog=EXAMPLE)(monitor)
    return alone


if __name__ == "__main__":
    # MLproject names every parameter; the command takes the use case by position.
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--usecase"]
    edge.run(monitor_alone, "python -m monitoring")
