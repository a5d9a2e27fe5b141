"""Commands that look back, and the one that goes back: history, rollback, audit."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flywheel.errors import StackError
from flywheel.settings import load_settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flywheel.events import Event

# Database libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)
audit = typer.Typer(
    no_args_is_help=True,
    help="Read the audit trail, or check that it is whole.",
    epilog="Example: flywheel audit log --model flights-delay",
)
app.add_typer(audit, name="audit")


TOLD = ("reason", "sentence", "comment", "what")  # what events say, each kind one of them
Model = Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")]
User = Annotated[str | None, typer.Option(help="Whose login; by default the environment's (MLFLOW_TRACKING_*).")]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines.")]


@app.command(epilog="Example: flywheel history flights-delay --at 2026-03-01T12:00 --user ada")
def history(
    name: Model,
    at: Annotated[
        str | None, typer.Option(help="A time in ISO form, UTC unless it has a zone; now by default.")
    ] = None,
    as_json: Json = False,
    user: User = None,
) -> None:
    """Say what was champion, challenger and in each stage at a time, by whose decision, and all champions so far."""
    from registry.history.printout import history_lines

    found = _ask("GET", f"history/{_quoted(name)}", user, **({"at": at} if at else {}))
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(history_lines(found)))


@app.command(epilog="Example: flywheel diff flights-delay@champion flights-delay/4 --user grace")
def diff(
    v1: Annotated[str, typer.Argument(metavar="V1", help="NAME/VERSION, NAME@alias or models:/NAME/VERSION.")],
    v2: Annotated[str, typer.Argument(metavar="V2", help="Likewise.")],
    as_json: Json = False,
    user: User = None,
) -> None:
    """Say how two versions differ: figures, parameters, data, columns, code, libraries, gates, stages."""
    from registry.history.printout import difference_lines

    found = _ask("GET", "diff", user, a=v1, b=v2)
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(difference_lines(found)))


@app.command(
    epilog="Example: flywheel rollback flights-delay --reason 'late flights are missed' --user grace. "
    "Then `flywheel deploy` (or a controller that runs) makes it live at once."
)
def rollback(
    name: Model,
    to: Annotated[str | None, typer.Option(metavar="VERSION", help="A former champion; by default the last.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it stays on the record.")] = "",
    as_json: Json = False,
    user: User = None,
) -> None:
    """Go back to the last champion that did not fail; what took its place is archived."""
    fields = {"reason": reason, **({"to": to} if to else {})}
    found = _ask("POST", f"rollback/{_quoted(name)}", user, **fields)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    gone = ", ".join(found["archived"]) or "none"
    typer.echo(f"Version {found['version']} of '{name}' is back in Production; archived: {gone}. Now: flywheel deploy")


@audit.command(epilog="Example: flywheel audit verify")
def verify() -> None:
    """Check every hash of the chain; name the first event that was altered, is missing or out of order."""
    from flywheel import events

    with _trail() as trail:
        end = events.verify(events.stream(trail), events.read_head(trail))
    typer.echo(f"The audit trail is whole: {end.seq} events, the last with hash {end.hash[:12] or 'none'}.")


@audit.command("log", epilog="Example: flywheel audit log --model flights-delay --json")
def show_log(
    model: Annotated[str | None, typer.Option(help="Only this model and its versions.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print who did what when, oldest first."""
    from flywheel import events

    with _trail() as trail:
        for event in events.stream(trail) if model is None else events.read(trail, model=model):
            typer.echo(_json_line(event) if as_json else _line(event))


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _ask(method: str, path: str, user: str | None, **fields: str) -> dict[str, Any]:
    from registry.client import connect

    return connect(user).own(method, path, **fields)


@contextmanager
def _trail() -> "Iterator[sa.Connection]":
    """Yield a connection that sees one moment: an event written between two reads is no missing one."""
    import sqlalchemy as sa

    try:
        with _database() as engine, engine.connect() as connection:
            yield connection.execution_options(isolation_level="REPEATABLE READ")
    except sa.exc.OperationalError as fault:
        raise StackError("Postgres does not answer. Look at `flywheel status`.") from fault


@contextmanager
def _database() -> "Iterator[sa.Engine]":
    """Yield the stack's database; where this home has none, the one that a server without our stack is told of."""
    from flywheel.database import open_database
    from registry.trail import BACKEND, open_trail

    settings = load_settings()
    if os.environ.get(BACKEND) and not (settings.root / "run" / "secrets.json").is_file():
        engine = open_trail("flywheel-audit")
        yield engine
        engine.dispose()
        return
    with open_database(settings, "reader") as engine:
        yield engine


def _line(event: "Event") -> str:
    body = event.body
    what = f"{body['from']} -> {body['to']}" if "to" in body and "from" in body else ""
    why = str(next((body[key] for key in TOLD if body.get(key)), "")).partition("\n")[0]  # --json has the rest
    said = "  ".join(part for part in (what, str(body.get("gate", "")), str(body.get("outcome", "")), why) if part)
    return (
        f"{event.seq:>5}  {event.at:%Y-%m-%d %H:%M:%S}  {event.kind:<24} {event.subject:<28} {event.actor:<16} {said}"
    )


def _json_line(event: "Event") -> str:
    from flywheel.events import canonical

    known = {"seq": event.seq, "kind": str(event.kind), "subject": event.subject, "actor": event.actor}
    return canonical({**known, "at": event.at.isoformat(), "body": event.body, "hash": event.hash})
