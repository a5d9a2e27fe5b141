"""Commands for the stack: up, status, env, down."""

import json
import os
import shlex
import shutil
import signal
import sys
import time
from importlib.metadata import entry_points
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from flywheel.connections import login
from flywheel.errors import UsageError
from flywheel.settings import load_settings

if TYPE_CHECKING:
    from flywheel.stack.status import Row

app = typer.Typer()

# Packages name here what is to be done once the stack runs, so that the kernel needs none of them.
AFTER_UP = "flywheel.up"

UNBOUNDED = 1000  # columns
WATCH_SECONDS = 2.0
HEAD = ("part", "program", "state", "health", "pid", "address", "log")
GIVEN_UP = ("log", "pid", "address")  # on a narrow terminal, in this order
CLEAR = "\x1b[H\x1b[2J"


@app.command()
def up() -> None:
    """Start Postgres, S3, MLflow and the gateway, and what was live; whatever a former start left is ended first.

    Example: FLYWHEEL_HOME=/srv/flywheel FLYWHEEL_MLFLOW_PORT=5000 flywheel up
    """
    # Heavy (SQLAlchemy, psycopg2): only the commands that need them pay.
    from flywheel.stack.up import bring_up

    signal.signal(signal.SIGTERM, _interrupt)
    settings = load_settings()
    endpoints = bring_up(settings, _say)
    typer.echo(
        f"MLflow   {endpoints.mlflow_url}   (log in as ada or grace: `flywheel env --user ada` shows the password)"
    )
    typer.echo(f"Gateway  {endpoints.gateway_url}")
    for point in sorted(entry_points(group=AFTER_UP), key=lambda one: one.name):
        point.load()(settings, _say)


def _say(line: str) -> None:
    typer.echo(line, err=True)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 seconds, until Ctrl-C.")] = False,
) -> None:
    """Check every part now, and show how each version is served; exit 1 when a part of the stack is not healthy.

    Example: flywheel status --json
    """
    if watch and as_json:
        raise UsageError("--watch and --json exclude each other. Take one of them.")
    shown, healthy = _status(as_json=as_json)
    typer.echo(shown)
    while watch:
        time.sleep(WATCH_SECONDS)
        shown, healthy = _status()
        typer.echo((CLEAR if sys.stdout.isatty() else "\n") + shown)
    if not healthy:
        raise typer.Exit(1)


def _status(*, as_json: bool = False) -> tuple[str, bool]:
    """Look once; return what is shown, and whether every part of the stack is healthy."""
    # Heavy (SQLAlchemy, psycopg2): only the commands that need them pay.
    from flywheel.stack.sections import sections
    from flywheel.stack.status import stack_rows

    settings = load_settings()
    rows, below = stack_rows(settings), sections(settings)
    healthy = all(row.healthy for row in rows)
    if as_json:
        return json.dumps([*(row.document() for row in rows), *(one.document() for one in below)], indent=1), healthy
    return "\n\n".join([_table(rows, _width()), *(one.shown(_width()) for one in below)]), healthy


@app.command()
def env(
    user: Annotated[str, typer.Option(help="Who acts: ada, grace, or a service.")],
) -> None:
    """Print the exports with which a shell acts as a user.

    Example: eval "$(flywheel env --user ada)"
    """
    for name, value in login(load_settings(), user).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def down(
    erase: Annotated[bool, typer.Option("--erase", help="Also remove everything that the home keeps.")] = False,
) -> None:
    """End everything that this home has started, also after a killed supervisor.

    Example: flywheel down
    """
    from flywheel.stack.down import end_stack
    from flywheel.stack.down import erase as remove
    from flywheel.stack.up import locked

    settings = load_settings()
    with locked(settings):
        ended = end_stack(settings)
        if erase:
            remove(settings)
    typer.echo(f"Ended {len(ended)} processes." if ended else "Nothing was running.", err=True)


def _table(rows: "list[Row]", width: int) -> str:
    """Write a table of the columns that fit; paths and addresses are there to be copied, so none is cut."""
    lines = [HEAD]
    for row in rows:
        health = "healthy" if row.healthy else row.reason
        lines.append((row.part, row.program, row.state, health, str(row.pid or ""), row.address, row.log))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    shown, given_up = list(range(len(HEAD))), [HEAD.index(name) for name in GIVEN_UP]
    while given_up and sum(widths[column] + 2 for column in shown) - 2 > width:
        shown.remove(given_up.pop(0))
    text = ["  ".join(line[column].ljust(widths[column]) for column in shown).rstrip() for line in lines]
    left_out = [name for column, name in enumerate(HEAD) if column not in shown]
    hint = [f"Left out for want of width, and in --json: {', '.join(left_out)}."] if left_out else []
    return "\n".join([*text, *hint])


def _width() -> int:
    """Return the terminal's columns; a file or a pipe has room for everything."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else UNBOUNDED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C, so that a start that is told to end leaves nothing either."""
    raise KeyboardInterrupt
