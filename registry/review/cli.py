"""Commands of the reviewer: approve a version."""

from typing import Annotated, Any

import typer

from flywheel.connections import endpoints, secrets
from flywheel.errors import FlywheelError, StackError, UsageError
from flywheel.settings import load_settings

# HTTP libraries load inside the commands that need them: every `flywheel --help` imports this module.

app = typer.Typer(no_args_is_help=True)


@app.command(epilog="Example: flywheel approve flights-delay 2 --user grace")
def approve(
    model: Annotated[str, typer.Argument(help="Registered model, which is the use case's name.")],
    version: Annotated[str, typer.Argument(help="Version of it.")],
    user: Annotated[str, typer.Option(help="Reviewer who approves, under their own login.")],
) -> None:
    """Move a version to Production as a reviewer; the server judges it as it judges MLflow's own pages."""
    moved = _transition(model, version, user)
    digest = {tag["key"]: tag["value"] for tag in moved.get("tags", [])}.get("flywheel.digest", "no digest")
    typer.echo(f"Version {version} of '{model}' is in Production, approved by {user} ({digest}).")


def _transition(model: str, version: str, user: str) -> dict[str, Any]:
    import requests

    settings = load_settings()
    where, known = endpoints(settings), secrets(settings)
    if user not in known.users:
        raise UsageError(f"User '{user}' is not known here. Choose one of: {', '.join(sorted(known.users))}.")
    body: dict[str, str | bool] = {"name": model, "version": version, "stage": "Production"}
    url = f"{where.mlflow_url}/api/2.0/mlflow/model-versions/transition-stage"
    try:
        answer = requests.post(url, json=body, auth=(user, known.users[user]), timeout=120)
    except requests.RequestException as fault:
        raise StackError(f"MLflow at {where.mlflow_url} does not answer. Look at `flywheel status`.") from fault
    if answer.status_code != 200:
        raise FlywheelError(_sentence(answer, model, user))
    moved: dict[str, Any] = answer.json()["model_version"]
    return moved


def _sentence(answer: Any, model: str, user: str) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError):
        if answer.status_code == 403:  # MLflow's login answers so before the gate is asked, in bare text
            return f"There is no model '{model}', or {user} may not edit it. Look at MLflow's list of models."
        return f"MLflow answered {answer.status_code}: {answer.text[:200].strip()}. Look at its log."
