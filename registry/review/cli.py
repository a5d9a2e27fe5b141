"""Commands of the reviewer: see what a version lacks, review it, approve it, and break the glass."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from flywheel.errors import FlywheelError

# HTTP libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)
Model = Annotated[str, typer.Argument(help="Registered model, which is the use case's name.")]
Version = Annotated[str, typer.Argument(help="Version of it.")]
User = Annotated[str | None, typer.Option(help="Who asks, under their own login; by default MLFLOW_TRACKING_USERNAME.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object for machines.")]


@app.command(epilog="Example: flywheel standing flights-delay 2 --user grace")
def standing(model: Model, version: Version, user: User = None, as_json: Json = False) -> None:
    """Show what a version needs on its way to Production, the missing first."""
    found = _own(user, "GET", f"standing/{_path(model, version)}")
    if as_json:
        typer.echo(json.dumps(found))
        return
    for need in found["needs"]:
        typer.echo(f"{'ok     ' if need['met'] else 'missing'}  {need['name']:<16}  {need['sentence']}")
    if not found["may_review"]:
        typer.echo(found["why_not"])


@app.command(epilog="Example: flywheel review flights-delay 2 reject --comment 'Look at LGA' --user grace")
def review(
    model: Model,
    version: Version,
    decision: Annotated[str, typer.Argument(help="approve, reject, request_changes, comment or withdraw.")],
    comment: Annotated[str, typer.Option(help="What you have to say; only approve and withdraw go without.")] = "",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say of a version's bytes what you decide; moving it to Production is `flywheel approve`."""
    path = f"review/{_path(model, version)}"
    given = _own(user, "POST", path, decision=decision.replace("-", "_"), comment=comment)
    if as_json:
        typer.echo(json.dumps(given))
    else:
        digest = given["digest"] or "no digest"
        typer.echo(f"{given['reviewer']}: {given['decision']} on version {version} of '{model}' ({digest}).")


@app.command(epilog="Example: flywheel approve flights-delay 2 --user grace")
def approve(
    model: Model,
    version: Version,
    user: User = None,
    override: Annotated[
        str | None, typer.Option(help="Break the glass: go round approvals, gates and freezes, for this reason.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Move a version to Production as a reviewer; the server judges it as it judges MLflow's own pages."""
    rest = _connect(user)
    if override is not None:
        moved = rest.own("POST", f"override/{_path(model, version)}", reason=override)
    else:
        moved = _transition(rest, model, version)
    if as_json:
        typer.echo(json.dumps(moved))
        return
    how = f"by override of {rest.user}" if override is not None else f"approved by {rest.user}"
    digest = moved["tags"].get("flywheel.digest", "no digest")
    typer.echo(f"Version {version} of '{model}' is in Production, {how} ({digest}).")


def _transition(rest: Any, model: str, version: str) -> dict[str, Any]:
    from flywheel.rest import RefusedError

    body = {"name": model, "version": version, "stage": "Production", "archive_existing_versions": False}
    try:
        moved = rest.call("POST", "model-versions/transition-stage", **body)["model_version"]
    except RefusedError as fault:
        if fault.code != "403":  # MLflow's login answers so before the gate is asked, in bare text
            raise
        who = rest.user or "this login"
        raise FlywheelError(
            f"There is no model '{model}', or {who} may not edit it. Look at MLflow's list of models."
        ) from fault
    tags = {tag["key"]: tag.get("value", "") for tag in moved.get("tags", [])}
    return {"model": model, "version": version, "stage": moved["current_stage"], "tags": tags}


def _own(user: str | None, method: str, path: str, **fields: str) -> dict[str, Any]:
    found: dict[str, Any] = _connect(user).own(method, path, **fields)
    return found


def _connect(user: str | None) -> Any:
    from registry.client import connect

    return connect(user)


def _path(model: str, version: str) -> str:
    return f"{quote(model, safe='')}/{quote(version, safe='')}"
