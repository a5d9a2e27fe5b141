"""Commands of the auditor: read the audit trail, check that it is whole."""

from typing import TYPE_CHECKING, Annotated

import typer

from flywheel.errors import StackError
from flywheel.settings import load_settings

if TYPE_CHECKING:
    from flywheel.events import Event, Head

# Database libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)
audit = typer.Typer(
    no_args_is_help=True,
    help="Read the audit trail, or check that it is whole.",
    epilog="Example: flywheel audit log --model flights-delay",
)
app.add_typer(audit, name="audit")


@audit.command(epilog="Example: flywheel audit verify")
def verify() -> None:
    """Check every hash of the chain; name the first event that was altered, is missing or out of order."""
    from flywheel import events

    found, head = _trail()
    events.verify(found, head)
    typer.echo(f"The audit trail is whole: {len(found)} events, the last with hash {head.hash[:12] or 'none'}.")


@audit.command("log", epilog="Example: flywheel audit log --model flights-delay --json")
def show_log(
    model: Annotated[str | None, typer.Option(help="Only this model and its versions.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print who did what when, oldest first."""
    found, _ = _trail(model)
    for event in found:
        typer.echo(_json_line(event) if as_json else _line(event))


def _trail(model: str | None = None) -> "tuple[list[Event], Head]":
    import sqlalchemy as sa

    from flywheel import events
    from flywheel.database import open_database

    try:
        with open_database(load_settings(), "reader") as engine, engine.connect() as connection:
            # One snapshot, so that an event written between the two reads does not look like a missing one.
            moment = connection.execution_options(isolation_level="REPEATABLE READ")
            return events.read(moment, model=model), events.read_head(moment)
    except sa.exc.OperationalError as fault:
        raise StackError("Postgres does not answer. Look at `flywheel status`.") from fault


def _line(event: "Event") -> str:
    body = event.body
    what = f"{body['from']} -> {body['to']}" if "to" in body and "from" in body else ""
    why = str(body.get("reason", "")).partition("\n")[0]  # the rest is the end of a log; --json has it
    said = "  ".join(part for part in (what, why) if part)
    return (
        f"{event.seq:>5}  {event.at:%Y-%m-%d %H:%M:%S}  {event.kind:<20} {event.subject:<28} {event.actor:<16} {said}"
    )


def _json_line(event: "Event") -> str:
    from flywheel.events import canonical

    known = {"seq": event.seq, "kind": str(event.kind), "subject": event.subject, "actor": event.actor}
    return canonical({**known, "at": event.at.isoformat(), "body": event.body, "hash": event.hash})
