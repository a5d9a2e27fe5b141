"""The command `flywheel logs`."""

from typing import Annotated

import typer

from deploy.logs import told, version_logs
from flywheel.settings import load_settings

app = typer.Typer()


@app.command(epilog="Example: flywheel logs flights-delay 3 --lines 50")
def logs(
    use_case: Annotated[str, typer.Argument(metavar="USECASE", help="Name of the use case.")],
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="Only this one; all by default.")] = None,
    lines: Annotated[int, typer.Option(min=1, help="Of each log, the last ones.")] = 20,
) -> None:
    """Show the end of the logs of a use case's agents and MLflow workers, and of the builds of their environments."""
    for line in told(version_logs(load_settings().root, use_case, version), lines):
        typer.echo(line)
