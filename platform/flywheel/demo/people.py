"""The people of the demo at the REST API: an author who may not approve, a reviewer who waits for the gates."""

import time
from dataclasses import dataclass
from urllib.parse import quote

import requests

from flywheel.connections import endpoints, login, secrets
from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.tracking import Tracking

TIMEOUT_SECONDS = 120
GATES_SECONDS = 240.0


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


@dataclass(frozen=True)
class Gates:
    """What the gates said of a version: how many passed, and a sentence for each that did not."""

    passed: int
    others: tuple[str, ...]


def await_gates(settings: Settings, user: str, model: str, version: str) -> Gates:
    """Wait until the registry has measured a version, and return what it found.

    Raises:
        FlywheelError: It does not end in time.
    """
    rest = Tracking.from_login(login(settings, user)).rest
    path, deadline = f"gates/{quote(model, safe='')}/{version}", time.monotonic() + GATES_SECONDS
    while (state := rest.own("GET", path))["waiting"]:
        if time.monotonic() > deadline:
            raise FlywheelError(f"The gates of {model} {version} did not end within {GATES_SECONDS:.0f} s.")
        time.sleep(0.3)
    found = state["evidence"]
    others = tuple(f"{one['gate']}: {one['sentence']}" for one in found if one["outcome"] != "pass")
    return Gates(len(found) - len(others), others)


def break_glass(settings: Settings, user: str, model: str, version: str, reason: str) -> None:
    """Move a version to Production past its gates, on record and with an alert.

    Raises:
        RefusedError: The policy does not let `user` do that.
    """
    rest = Tracking.from_login(login(settings, user)).rest
    rest.own("POST", f"override/{quote(model, safe='')}/{version}", reason=reason)


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
