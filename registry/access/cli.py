"""Commands around service tokens: issue, list, revoke."""

import json
import os
import re
from typing import Annotated, Any

import typer

from flywheel.errors import UsageError
from flywheel.identities import ADMIN, SERVICES

# HTTP libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)
token = typer.Typer(
    no_args_is_help=True,
    help="Service tokens: issue, list and revoke what scripts log in with.",
    epilog="Example: flywheel token issue nightly --user ada --scope tracking --days 30",
)
app.add_typer(token, name="token")
As = Annotated[str | None, typer.Option("--as", help="Who asks; by default what MLFLOW_TRACKING_* say.")]


@token.command(epilog="Example: flywheel token issue nightly --user svc-training --scope tracking --scope registry")
def issue(
    name: Annotated[str, typer.Argument(help="What it is for, in a word or two.")],
    user: Annotated[str, typer.Option(help="In whose name it acts: yours, or a service's (as an administrator).")],
    scope: Annotated[
        list[str],
        typer.Option(help="tracking, registry, review or admin to change there; read; predict."),
    ],
    days: Annotated[int, typer.Option(help="How long it lives, at most 365.")] = 90,
    asker: Annotated[
        str | None, typer.Option("--as", help="Who asks: by default the user, or admin for a service.")
    ] = None,
) -> None:
    """Print a new token, this once: the server keeps only its digest. For MLFLOW_TRACKING_TOKEN, or the gateway."""
    who = asker or (ADMIN if user in SERVICES else user)
    made = _call(
        None if asker is None and _environment_is(who) else who,
        "POST",
        "tokens",
        name=name,
        user=user,
        scopes=",".join(scope),
        days=str(days),
    )
    typer.echo(made["token"])
    typer.echo(
        f"Token {made['id']} of {user} for {', '.join(made['scopes'])}, until {made['expires_at'][:10]}.", err=True
    )


@token.command("list", epilog="Example: flywheel token list --as admin --json")
def show(
    asker: As = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print the tokens of whoever asks, or all of them for an administrator; never what they log in with."""
    for found in _call(asker, "GET", "tokens")["tokens"]:
        typer.echo(json.dumps(found) if as_json else _line(found))


@token.command(epilog="Example: flywheel token revoke 5f0c2a91d3e7 --as ada")
def revoke(
    number: Annotated[str, typer.Argument(metavar="ID", help="Its id: what stands between fwt_ and the next _.")],
    asker: As = None,
) -> None:
    """Void a token, at once and for good."""
    if not re.fullmatch("[0-9a-f]{12}", number):
        raise UsageError(f"'{number}' is no token's id, which has 12 digits of 0-9 and a-f. See `flywheel token list`.")
    gone = _call(asker, "DELETE", f"tokens/{number}")
    typer.echo(f"Token {gone['id']} ('{gone['name']}' of {gone['user']}) is revoked.")


def _environment_is(user: str) -> bool:
    """Return whether MLFLOW_TRACKING_* log in as a user: so it goes on a server that no home knows passwords of."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) and os.environ.get("MLFLOW_TRACKING_USERNAME") == user


def _call(asker: str | None, method: str, path: str, **fields: str) -> dict[str, Any]:
    from registry.client import connect  # loads HTTP libraries

    return connect(asker).own(method, path, **fields)


def _line(found: dict[str, Any]) -> str:
    scopes = ",".join(found["scopes"])
    return f"{found['id']}  {found['state']:<7}  {found['expires_at'][:10]}  {found['user']}  {scopes}  {found['name']}"
