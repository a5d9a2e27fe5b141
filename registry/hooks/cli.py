"""Commands around hooks: who is told of events, how far each is, and help for one that is stuck."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from flywheel.errors import FlywheelError

# HTTP libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)
hooks = typer.Typer(help="Who is told of events, how far each is; pass over an event, or send a test.")
app.add_typer(hooks, name="hooks", epilog="Example: flywheel hooks --user grace")

User = Annotated[str | None, typer.Option(help="Who asks, with the password of this home; else MLFLOW_TRACKING_*.")]
COLUMNS = ("consumer", "kind", "target", "events", "state", "delivered", "lag", "last fault")


@hooks.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    user: User = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """List post hooks and webhooks with their place in the audit trail, and what stands in the way of the next."""
    if context.invoked_subcommand is not None:
        return
    found = _ask(user, "GET", "hooks")["hooks"]
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    elif not found:
        typer.echo("Nobody is told of events. Write HOME/hooks.yaml, or install a package with a post hook.")
    else:
        typer.echo(_table([_row(one) for one in found]))


@hooks.command(epilog='Example: flywheel hooks skip pager --reason "its receiver is gone for good" --user admin')
def skip(
    name: Annotated[str, typer.Argument(help="Consumer that does not take an event.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    user: User = None,
) -> None:
    """Pass over the event that a consumer does not take, for good; operators and administrators may."""
    answer = _ask(user, "POST", f"hooks/{quote(name, safe='')}/skip", reason=reason)
    typer.echo(f"'{name}' will not get event {answer['skipped']}, and goes on with the next.")


@hooks.command("test", epilog="Example: flywheel hooks test pager --user admin")
def try_out(name: Annotated[str, typer.Argument(help="Consumer to try out.")], user: User = None) -> None:
    """Send a webhook a signed event of kind `test`, or import a post hook; operators and administrators may."""
    answer = _ask(user, "POST", f"hooks/{quote(name, safe='')}/test")
    if not answer["delivered"]:
        raise FlywheelError(f"'{name}' did not take the test: {answer['fault']}.")
    typer.echo(f"'{name}' took the test.")


def _ask(user: str | None, method: str, path: str, **fields: str) -> dict[str, Any]:
    from registry.client import connect

    return connect(user).own(method, path, **fields)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    state = "not configured" if not one["active"] else ("waits" if one["waiting"] else "well")
    fault = f"event {one['waiting']}, {one['attempts']} tries: {one['fault']}" if one["waiting"] else ""
    return (
        one["consumer"],
        one["kind"],
        one["target"],
        one["events"],
        state,
        str(one["delivered"]),
        str(one["lag"]),
        fault,
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = [COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
