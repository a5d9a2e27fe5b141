"""Where the running stack answers, and with which secrets: written by `flywheel up`, read by everybody else.

Two files under `HOME/run`, both mode 600: `endpoints.json` (addresses) and `secrets.json` (passwords). A service gets
what it needs by environment instead, so that it holds no more than its own.
"""

import json
import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from flywheel.errors import StackError, UsageError
from flywheel.settings import Settings
from flywheel.signing import VERIFY_KEY, trusted_key

T = TypeVar("T", bound=BaseModel)


class Endpoints(BaseModel):
    """Addresses of one running stack; all on loopback by default."""

    model_config = ConfigDict(frozen=True)

    stack_id: str
    mlflow_url: str
    gateway_url: str
    envoy_admin_url: str
    s3_url: str
    supervisor_socket: Path


class Secrets(BaseModel):
    """Passwords by user, and database URLs by role (`server`, `controller`, `monitoring`, `reader`, `optuna`)."""

    model_config = ConfigDict(frozen=True)

    users: dict[str, str]
    databases: dict[str, str]


def endpoints(settings: Settings) -> Endpoints:
    """Read the addresses.

    Raises:
        StackError: Nothing has been started in this home.
    """
    return _read(settings, "endpoints.json", Endpoints)


def secrets(settings: Settings) -> Secrets:
    """Read the secrets.

    Raises:
        StackError: Nothing has been started in this home.
    """
    return _read(settings, "secrets.json", Secrets)


def login(settings: Settings, user: str) -> dict[str, str]:
    """Return the environment with which a process acts as `user` on MLflow and on Optuna's database.

    Raises:
        UsageError: There is no such user.
        StackError: The stack has not been started.
    """
    known = secrets(settings)
    if user not in known.users:
        names = ", ".join(sorted(known.users))
        raise UsageError(f"User '{user}' is not known here. Choose one of: {names}.")
    found = endpoints(settings)
    return {
        "MLFLOW_TRACKING_URI": found.mlflow_url,
        "MLFLOW_REGISTRY_URI": found.mlflow_url,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # MLflow's own seven keep a person waiting for minutes
        "GATEWAY": found.gateway_url,
        "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": known.users[user],
        "FLYWHEEL_OPTUNA_URL": known.databases["optuna"],
        **_verification(settings),
        **QUIET,
    }


def _verification(settings: Settings) -> dict[str, str]:
    key = trusted_key(settings.root)
    return {} if key is None else {VERIFY_KEY: str(key.resolve())}


# Nothing that we run phones home, and MLflow's progress output stays out of logs.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_AGENT_HINTS": "true",
}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(settings: Settings, name: str, kind: type[T]) -> T:
    path = settings.root / "run" / name
    try:
        return kind.model_validate(json.loads(path.read_text()))
    except FileNotFoundError as fault:
        raise StackError(f"No stack runs in {settings.root}. Start one with `flywheel up`.") from fault
    except (json.JSONDecodeError, ValidationError) as fault:
        raise StackError(f"{path} is damaged. Run `flywheel down` and `flywheel up` to write it anew.") from fault
