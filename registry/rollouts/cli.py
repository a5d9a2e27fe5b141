"""What people say of a rollout that is under way: pause, resume, promote; and the rollouts that have been."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from flywheel.errors import UsageError

app = typer.Typer(no_args_is_help=True)
rollouts = typer.Typer(
    no_args_is_help=True,
    help="List a model's rollouts, or write the report of one.",
    epilog="Example: flywheel rollouts list flights-delay --user olga",
)
app.add_typer(rollouts, name="rollouts")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")]
Because = Annotated[str, typer.Option(help="Why; it stays on the record.", show_default=False)]
Rollout = Annotated[
    str | None, typer.Option(metavar="ROLLOUT", help="Its name, to be sure that no other is meant; any by default.")
]
User = Annotated[str | None, typer.Option(help="Whose login; by default the environment's (MLFLOW_TRACKING_*).")]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines.")]


@app.command(epilog="Example: flywheel pause flights-delay --because 'the airport is closed' --user olga")
def pause(name: Name, because: Because, rollout: Rollout = None, as_json: Json = False, user: User = None) -> None:
    """Let a rollout take no step until it is resumed; what harms is rolled back all the same."""
    found = _say("pause", name, because, rollout, user)
    _tell(found, f"stays at {found['percent']} % of the requests until `flywheel resume {name}`.", as_json)


@app.command(epilog="Example: flywheel resume flights-delay --user olga")
def resume(
    name: Name, because: Because = "It may go on.", rollout: Rollout = None, as_json: Json = False, user: User = None
) -> None:
    """Let a paused rollout go on; the time after which it holds and asks begins anew."""
    _tell(_say("resume", name, because, rollout, user), "goes on by the evidence.", as_json)


@app.command(epilog="Example: flywheel promote flights-delay --because 'two hours without a fault' --user olga")
def promote(name: Name, because: Because, rollout: Rollout = None, as_json: Json = False, user: User = None) -> None:
    """Let a rollout that waits, is paused or held go one step further without more evidence; harm still ends it."""
    _tell(_say("allow", name, because, rollout, user), "may go a step further.", as_json)


@rollouts.command("list", epilog="Example: flywheel rollouts list flights-delay --json --user olga")
def list_rollouts(name: Name, as_json: Json = False, user: User = None) -> None:
    """List the newest rollouts of a model, the newest first."""
    found = _ask("GET", name, "", user)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    from flywheel.rollbacks import in_one_line  # SQLAlchemy: `flywheel --help` must not pay for it

    for one in found["rollouts"]:
        typer.echo(in_one_line(_line(one)))


@rollouts.command(
    epilog="Example: flywheel rollouts report flights-delay --html report.html --user olga. "
    "Without --html it is kept among the artifacts of the version's run, as it is when a rollout ends."
)
def report(
    name: Name,
    rollout: Annotated[str | None, typer.Option(metavar="ROLLOUT", help="Its name; the newest by default.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here instead.")] = None,
    as_json: Json = False,
    user: User = None,
) -> None:
    """Write the report of a rollout: its page as one file that needs nothing else."""
    named = {"rollout": rollout} if rollout else {}
    if html is None:
        found = _ask("POST", name, "/report", user, **named)
        said = f"Kept as {found['path']} on run {found['run_id']}."
    else:
        found = _ask("GET", name, "/report", user, **named)
        _write(html, found.pop("html"))
        found, said = {**found, "file": str(html)}, f"Report of '{found['rollout']}': {html}"
    typer.echo(json.dumps(found, indent=1) if as_json else said)


def _line(one: Mapping[str, Any]) -> str:
    percent = "" if one["ended"] else f", {one['percent']} %"
    gone = one["withdrawn"]
    why = one["waits"] or (f"{gone['by']}: {gone['because']}" if gone and gone["because"] else one["reason"])
    return f"{one['started'][:19]}  {one['rollout']}  {one['standing']}{percent}. {why}"


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise UsageError(
            f"{file} cannot be written: {fault.strerror}. Name a file in a folder that is there."
        ) from fault


def _ask(method: str, name: str, path: str, user: str | None, **fields: str) -> dict[str, Any]:
    from registry.client import connect  # loads the REST client; `flywheel --help` imports this module

    return connect(user).own(method, f"rollouts/{quote(name, safe='')}{path}", **fields)


def _say(saying: str, name: str, because: str, rollout: str | None, user: str | None) -> dict[str, Any]:
    fields = {"because": because, **({"rollout": rollout} if rollout else {})}
    return _ask("POST", name, f"/{saying}", user, **fields)


def _tell(found: dict[str, Any], what: str, as_json: bool) -> None:
    said = f"Rollout '{found['rollout']}' (version {found['version']} of '{found['model']}') {what}"
    typer.echo(json.dumps(found, indent=1) if as_json else said)
