"""What people say of a rollout that is under way: pause, resume, promote."""

import json
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True)

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


def _say(saying: str, name: str, because: str, rollout: str | None, user: str | None) -> dict[str, Any]:
    from urllib.parse import quote

    from registry.client import connect  # loads the REST client; `flywheel --help` imports this module

    fields = {"because": because, **({"rollout": rollout} if rollout else {})}
    return connect(user).own("POST", f"rollouts/{quote(name, safe='')}/{saying}", **fields)


def _tell(found: dict[str, Any], what: str, as_json: bool) -> None:
    said = f"Rollout '{found['rollout']}' (version {found['version']} of '{found['model']}') {what}"
    typer.echo(json.dumps(found, indent=1) if as_json else said)
