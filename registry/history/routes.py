"""Routes of this room: a model's history, differences of versions, rollback."""

from typing import Any

from flask import Flask, request

from registry.caller import caller
from registry.history.account import account, parse_time
from registry.history.difference import compare
from registry.history.facts import find_version, read_facts
from registry.history.rollback import roll_back
from registry.routes import add_route, body
from registry.store.opened import gate_store


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "GET", "history/<name>", _history)
    add_route(app, "GET", "diff", _difference)
    add_route(app, "POST", "rollback/<name>", _rollback)


def _history(name: str) -> dict[str, Any]:
    """Answer what was where at `?at=` (ISO, UTC by default), or now."""
    store, at = gate_store(), parse_time(request.args.get("at"))
    with store.engine.connect() as connection:
        found = account(connection, name, at)
    if found is not None:
        return found.document()
    store.get_registered_model(name)  # 404 for a model that is not there; one without versions has no history yet
    return {"model": name, "at": at and at.isoformat(), "first": None, "stages": [], "champions": []}


def _difference() -> dict[str, Any]:
    """Answer what differs between the versions `?a=` and `?b=`."""
    store = gate_store()
    a, b = (find_version(store, request.args.get(side, "")) for side in ("a", "b"))
    return compare(read_facts(store, a), read_facts(store, b)).document()


def _rollback(name: str) -> dict[str, Any]:
    asked = body(optional=("to", "reason"))
    plan = roll_back(gate_store(), name, caller(), to=asked.get("to"), reason=asked.get("reason", "").strip())
    return {
        "model": name,
        "version": plan.target.version,
        "digest": plan.target.digest,
        "archived": list(plan.leaving),
    }
