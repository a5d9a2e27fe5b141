"""Routes of this room: who is told of events, how far each is, and what an operator may do about one that is stuck."""

import time
from typing import Any

from flask import Flask
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.server import handlers
from sqlalchemy import Connection, Engine

from flywheel import events
from flywheel.errors import FlywheelError
from flywheel.events import EventKind
from flywheel.policy import Role
from registry.caller import caller, denied, floor_policy
from registry.guard.alert import REGISTRY
from registry.hooks import deliveries
from registry.hooks.deliveries import Delivery
from registry.routes import add_route, body

OPERATORS = (Role.OPERATOR, Role.ADMINISTRATOR)
TEST_SECONDS = 20.0  # a delivery may take 15


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "GET", "hooks", show)
    add_route(app, "POST", "hooks/<name>/skip", skip)
    add_route(app, "POST", "hooks/<name>/test", try_out)


def show() -> dict[str, Any]:
    """Return every consumer with its place, its lag and its last fault; everybody who is logged in may see them."""
    caller()
    with _engine().connect() as connection:
        return {"hooks": [found.document() for found in deliveries.read_all(connection)]}


def skip(name: str) -> dict[str, Any]:
    """Pass over the event that a consumer does not take, for good; an event says who did it.

    Raises:
        MlflowException: The caller is no operator (403), or there is no such consumer (404).
        FlywheelError: Nothing stands in its way (409).
    """
    actor, reason = _operator("pass over an event"), body(required=("reason",))["reason"].strip()
    with _engine().begin() as connection:
        events.lock_head(connection)
        found = _found(connection, name)
        if found.waiting is None or not deliveries.advance(connection, name, found.delivered, found.waiting):
            raise FlywheelError(f"'{name}' has no event that it did not take: there is nothing to skip.")
        said = {"consumer": name, "seq": found.waiting, "fault": found.fault, "reason": reason}
        events.append(connection, EventKind.HOOK_SKIPPED, REGISTRY, actor, said)
    return {"consumer": name, "skipped": found.waiting}


def try_out(name: str) -> dict[str, Any]:
    """Have the registry's process send a consumer a test, and wait for how that ends.

    Raises:
        MlflowException: The caller is no operator (403), or there is no such consumer (404).
        FlywheelError: It is not configured any more, or the process does not answer (409).
    """
    _operator("test a hook")
    body()
    with _engine().begin() as connection:
        if not _found(connection, name).active:
            raise FlywheelError(f"'{name}' is not configured any more. Add it to hooks.yaml again.")
        number = deliveries.ask_test(connection, name)
    until = time.monotonic() + TEST_SECONDS
    while time.monotonic() < until:
        with _engine().connect() as connection:
            is_answered, fault = deliveries.answered_test(connection, name, number)
        if is_answered:
            return {"consumer": name, "delivered": fault is None, "fault": fault}
        time.sleep(0.2)
    raise FlywheelError(
        f"The registry's process has not tried '{name}' within {TEST_SECONDS:.0f} s: it is busy with a delivery to it, "
        "or does not run. Look at `flywheel status`."
    )


def _operator(what: str) -> str:
    user = caller()
    if floor_policy().role(user) not in OPERATORS:
        raise denied(f"'{user}' may not {what}: ask an operator or administrator of the policy.")
    return user


def _found(connection: Connection, name: str) -> Delivery:
    found = deliveries.read_one(connection, name)
    if found is None:
        raise MlflowException(f"No hook is called '{name}'. `flywheel hooks` lists them.", RESOURCE_DOES_NOT_EXIST)
    return found


def _engine() -> Engine:
    engine: Engine = handlers._get_model_registry_store().engine
    return engine
