"""The people of the demo at MLflow's REST API: an author who may not approve, a reviewer who may."""

from dataclasses import dataclass

import requests

from flywheel.connections import endpoints, secrets
from flywheel.errors import FlywheelError
from flywheel.settings import Settings

TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Refusal:
    """The server's no, with its sentence."""

    user: str
    sentence: str


def move_to_production(settings: Settings, user: str, model: str, version: str) -> Refusal | None:
    """Ask for the stage Production as `user`; return the refusal, or None when it passed.

    Raises:
        FlywheelError: The server answered something that is neither yes nor no.
    """
    reply = requests.post(
        f"{endpoints(settings).mlflow_url}/api/2.0/mlflow/model-versions/transition-stage",
        json={"name": model, "version": version, "stage": "Production", "archive_existing_versions": False},
        auth=(user, secrets(settings).users[user]),
        timeout=TIMEOUT_SECONDS,
    )
    if reply.ok:
        return None
    sentence = str(reply.json().get("message", reply.text)) if "json" in reply.headers["content-type"] else reply.text
    if reply.status_code == requests.codes.forbidden:
        return Refusal(user, sentence)
    raise FlywheelError(f"MLflow answered {reply.status_code} to {user}'s transition of {model}/{version}: {sentence}")


def newest_version(settings: Settings, model: str) -> str:
    """Return the newest registered version of a model.

    Raises:
        FlywheelError: There is none.
    """
    user = "ada"
    reply = requests.get(
        f"{endpoints(settings).mlflow_url}/api/2.0/mlflow/model-versions/search",
        params={"filter": f"name='{model}'", "max_results": "1000"},
        auth=(user, secrets(settings).users[user]),
        timeout=TIMEOUT_SECONDS,
    )
    reply.raise_for_status()
    versions = [int(found["version"]) for found in reply.json().get("model_versions", [])]
    if not versions:
        raise FlywheelError(f"No version of '{model}' is registered, although training ended well.")
    return str(max(versions))
