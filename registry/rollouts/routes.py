"""Routes of this room: a model's rollouts, and what people say of the one that is under way."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request

from registry.caller import caller, floor_policy
from registry.history.operators import require_operator
from registry.review.wording import tell
from registry.rollouts import trail
from registry.rollouts.record import Record
from registry.rollouts.report import find, html, keep
from registry.rollouts.say import say
from registry.rollouts.sayings import Saying
from registry.rollouts.standing import title
from registry.rollouts.waiting import waits_for
from registry.routes import add_route, body
from registry.store.opened import gate_store


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "GET", "rollouts/<name>", _list)
    add_route(app, "GET", "rollouts/<name>/report", _report)
    add_route(app, "POST", "rollouts/<name>/report", _keep)
    for saying in Saying:
        add_route(app, "POST", f"rollouts/<name>/{saying}", _saying(saying))


def _list(name: str) -> dict[str, Any]:
    """Answer a model's newest rollouts, the newest first."""
    store = gate_store()
    with store.engine.connect() as connection:
        found = trail.newest(connection, name)
    if not found:
        store.get_registered_model(name)  # 404 for a model that is not there
    return {"model": name, "rollouts": [document(one) for one in reversed(found)]}


def _report(name: str) -> dict[str, Any]:
    """Answer the report of the rollout `?rollout=`, or of the newest, as HTML."""
    store = gate_store()
    with store.engine.connect() as connection:
        found = find(connection, name, request.args.get("rollout"))
    return {"model": name, "rollout": found.name, "html": html(found)}


def _keep(name: str) -> dict[str, Any]:
    """Write that report to the version's run; it is the registry's own, so that the freeze does not hold it up."""
    asked, store = body(optional=("rollout",)), gate_store()
    require_operator(floor_policy(), caller(), f"Keeping a report of '{name}'")
    with store.engine.connect() as connection:
        found = find(connection, name, asked.get("rollout"))
    kept = keep(store.engine, found)
    return {"model": name, "rollout": found.name, "run_id": kept.run_id, "path": kept.path}


def _saying(saying: Saying) -> Callable[[str], dict[str, Any]]:
    def handle(name: str) -> dict[str, Any]:
        asked = body(required=("because",), optional=("rollout",))
        because = asked["because"].strip()
        found = say(gate_store(), name, caller(), saying, because, rollout=asked.get("rollout"))
        return {**document(found), "said": saying, "by": caller(), "because": because}

    return handle


def document(found: Record) -> dict[str, Any]:
    """Return a rollout as plain JSON."""
    gone = found.withdrawn
    told = tell(gone).more if gone is not None else ""
    return {
        "rollout": found.name,
        "model": found.model,
        "version": found.new.number,
        "digest": found.new.digest,
        "others": [one.number for one in found.others],
        "champion": found.old.number if found.old else None,
        "phase": found.phase,
        "percent": found.percent,
        "paused": found.paused,
        "reason": found.reason,
        "waits": waits_for(found, datetime.now(UTC)),
        "standing": title(found)[0],
        "replaced": found.replaced,
        "withdrawn": {"by": gone.actor, "because": told} if gone is not None else None,
        "started": found.started.isoformat(),
        "ended": found.ended.isoformat() if found.ended else None,
    }
