"""The pages of a model's rollouts and of one of them, in MLflow's server and behind its login."""

from datetime import UTC, datetime

from flask import Flask, Response
from mlflow.exceptions import MlflowException

from registry.caller import caller, floor_policy
from registry.review import render
from registry.rollouts import trail
from registry.rollouts.view import build, title
from registry.store.opened import gate_store


def add_pages(app: Flask) -> None:
    """Add the pages; call it before the login is added, which then guards them."""
    app.add_url_rule("/flywheel/rollouts/<name>", "flywheel_rollouts", _list_page)
    app.add_url_rule("/flywheel/rollouts/<name>/<rollout>", "flywheel_rollout", _rollout_page)


def _list_page(name: str) -> Response:
    store = gate_store()
    with store.engine.connect() as connection:
        found, count = trail.newest(connection, name), trail.count(connection, name)
    if not found:
        try:
            store.get_registered_model(name)
        except MlflowException as fault:
            return render.missing(fault.get_http_status_code(), fault.message)
    rows = [(one, *title(one)) for one in reversed(found)]
    return render.page("rollouts.html", 200, name=name, rows=rows, count=count, now=datetime.now(UTC))


def _rollout_page(name: str, rollout: str) -> Response:
    with gate_store().engine.connect() as connection:
        found = trail.one(connection, name, rollout)
    if found is None:
        return render.missing(404, f"Model '{name}' has had no rollout '{rollout}'.")
    policy = floor_policy()
    view = build(found, datetime.now(UTC), operates=caller() in policy.allowed(*policy.may.operate))
    return render.page("rollout.html", 200, view=view)
