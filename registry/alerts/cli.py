"""`flywheel alerts`: what monitoring has found and nobody has mended yet, and what people say of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import typer

from flywheel.errors import UsageError

app = typer.Typer(no_args_is_help=True)
alerts = typer.Typer(
    no_args_is_help=True,
    help="See what monitoring has found; acknowledge, close or silence it.",
    epilog="Example: flywheel alerts list --user olga",
)
app.add_typer(alerts, name="alerts")

Id = Annotated[str, typer.Argument(metavar="ALERT", help="As `flywheel alerts list` names it.")]
Because = Annotated[str, typer.Option(help="Why; it stays on the record.", show_default=False)]
User = Annotated[str | None, typer.Option(help="Whose login; by default the environment's (MLFLOW_TRACKING_*).")]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
NONE = "No alert is open."


@alerts.command("list", epilog="Example: flywheel alerts list --user olga")
def list_alerts(
    usecase: Annotated[str | None, typer.Option(help="Only this use case; all of them by default.")] = None,
    as_json: Json = False,
    user: User = None,
) -> None:
    """List what is open, the gravest first: what, since when, how sure, where to look, what happens next."""
    found = _ask("GET", "alerts", user)
    kept = [one for one in found["alerts"] if usecase in (None, one["use_case"])]
    if as_json:
        typer.echo(json.dumps({**found, "alerts": kept}, indent=1))
        return
    typer.echo("\n".join(_lines(one) for one in kept) or NONE)
    for one in found["silences"]:
        what = " ".join(filter(None, (one["use_case"], one["kind"], one["key"]))) or "everything"
        typer.echo(f"Silence {one['id']}: {what} until {one['until'][:16]}, by {one['by']}: {one['because']}")


@alerts.command(epilog="Example: flywheel alerts acknowledge 3f1c0a9be2d4 --because 'the sensor is on its way'")
def acknowledge(name: Id, because: Because, as_json: Json = False, user: User = None) -> None:
    """Say that you know: it is told again only when it gets worse or is over."""
    _tell(_ask("POST", f"alerts/{quote(name, safe='')}/acknowledge", user, because=because), "is known now", as_json)


@alerts.command(epilog="Example: flywheel alerts close 3f1c0a9be2d4 --because 'the column was renamed on purpose'")
def close(name: Id, because: Because, as_json: Json = False, user: User = None) -> None:
    """Say that it is over; a look that finds it again opens it anew."""
    _tell(_ask("POST", f"alerts/{quote(name, safe='')}/close", user, because=because), "is closed", as_json)


@alerts.command(epilog="Example: flywheel alerts silence --usecase flights-delay --for 3d --because 'we move'")
def silence(
    because: Because,
    length: Annotated[str, typer.Option("--for", help="How long: 12h, 3d, 2w.")],
    usecase: Annotated[str, typer.Option(help="Only of this use case.")] = "",
    kind: Annotated[str, typer.Option(help="Only of this kind, such as drift or loss.")] = "",
    key: Annotated[str, typer.Option(help="Only of this column, slice or version.")] = "",
    as_json: Json = False,
    user: User = None,
) -> None:
    """Tell nobody of what fits for a while; the alerts stay open, and are told when it ends."""
    until = datetime.now(UTC) + _length(length)
    matched = {"use_case": usecase, "kind": kind, "key": key}
    found = _ask("POST", "silences", user, **matched, until=until.isoformat(), because=because)
    typer.echo(json.dumps(found, indent=1) if as_json else f"Silence {found['id']} holds until {found['until'][:16]}.")


@alerts.command(epilog="Example: flywheel alerts unsilence 4711 --because 'the move is over'")
def unsilence(
    number: Annotated[str, typer.Argument(metavar="SILENCE", help="As `flywheel alerts list` names it.")],
    because: Because,
    as_json: Json = False,
    user: User = None,
) -> None:
    """End a silence before its time."""
    found = _ask("POST", f"silences/{quote(number, safe='')}/end", user, because=because)
    typer.echo(json.dumps(found, indent=1) if as_json else f"Silence {number} is over.")


def _lines(one: dict[str, Any]) -> str:
    known, until = one["acknowledged"], one["silenced_until"]
    marks = [f"known by {known['by']}: {known['because']}"] if known else []
    marks += [f"silenced until {until[:16]}"] if until else []
    head = f"{one['id']}  {one['severity']:<8}  {one['use_case']}  {one['kind']} {one['key']}".rstrip()
    told = [("", one["what"]), ("since", one["since"]), ("how sure", one["certainty"])]
    told += [("look at", one["look_at"]), ("next", one["next"])]
    below = [f"    {name + ': ' if name else ''}{text}" for name, text in told if text]
    return "\n".join([head + (f"  ({'; '.join(marks)})" if marks else ""), *below])


def _length(text: str) -> timedelta:
    from flywheel.durations import read_duration

    try:
        return read_duration(text)
    except ValueError as fault:
        raise UsageError(f"--for '{text}' is no length of time: {fault}.") from fault


def _ask(method: str, path: str, user: str | None, **fields: str) -> dict[str, Any]:
    from registry.client import connect  # loads the REST client; `flywheel --help` imports this module

    return connect(user).own(method, path, **fields)


def _tell(found: dict[str, Any], what: str, as_json: bool) -> None:
    typer.echo(json.dumps(found, indent=1) if as_json else f"Alert {found['id']} {what}: {found['what']}")
