"""Routes of signatures: read one, and sign a version that has none."""

from typing import Any

from flask import Flask
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from flywheel.errors import FlywheelError
from flywheel.events import Event
from registry.caller import caller, floor_policy
from registry.history.operators import require_operator
from registry.routes import add_route
from registry.signing.registration import newest_signature, sign_version
from registry.store.opened import gate_store

PATH = "signature/<name>/<version>"


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "GET", PATH, _read)
    add_route(app, "POST", PATH, _sign)


def _read(name: str, version: str) -> dict[str, Any]:
    """Answer the newest signature of a version; 404 without one."""
    found = newest_signature(gate_store(), name, version)
    if found is None:
        gate_store().get_model_version(name, version)  # tells a version that is not there from one without a signature
        raise MlflowException(
            f"Version {version} of '{name}' has no signature. An operator adds one: flywheel signature add.",
            RESOURCE_DOES_NOT_EXIST,
        )
    return _document(found)


def _sign(name: str, version: str) -> dict[str, Any]:
    """Sign a version that has no signature, as an operator."""
    store, actor = gate_store(), caller()
    require_operator(floor_policy(), actor, f"Signing version {version} of '{name}'")
    if newest_signature(store, name, version) is not None:
        raise FlywheelError(
            f"Version {version} of '{name}' has a signature already. If it does not fit its bytes, register it again."
        )
    made = sign_version(store, name, version, actor)
    if made is None:
        raise FlywheelError("The server has no key to sign with: set FLYWHEEL_SIGNING_KEY.")
    return _document(made)


def _document(event: Event) -> dict[str, Any]:
    return {**event.body, "at": event.at.isoformat(), "by": event.actor}
