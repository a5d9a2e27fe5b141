"""The pages of a model's rollouts and of one of them, in MLflow's server and behind its login."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps

from flask import Flask, Response
from mlflow.exceptions import MlflowException

from flywheel.errors import IntegrityError
from registry.caller import caller, floor_policy
from registry.review import render
from registry.rollouts import trail
from registry.rollouts.standing import standing, title
from registry.rollouts.view import build
from registry.store.opened import gate_store


def add_pages(app: Flask) -> None:
    """Add the pages; call it before the login is added, which then guards them."""
    app.add_url_rule("/flywheel/rollouts/<name>", "flywheel_rollouts", _told(_list_page))
    app.add_url_rule("/flywheel/rollouts/<name>/<rollout>", "flywheel_rollout", _told(_rollout_page))


def _told(page: Callable[..., Response]) -> Callable[..., Response]:
    """Answer a record that nobody can read with a page that says so."""

    @wraps(page)
    def answer(**parts: str) -> Response:
        try:
            return page(**parts)
        except IntegrityError as fault:
            return render.missing(500, str(fault))

    return answer


def _list_page(name: str) -> Response:
    store = gate_store()
    with store.engine.connect() as connection:
        found, count = trail.newest(connection, name), trail.count(connection, name)
    if not found:
        try:
            store.get_registered_model(name)
        except MlflowException as fault:
            return render.missing(fault.get_http_status_code(), fault.message)
    now = datetime.now(UTC)
    rows = [(one, *title(one), standing(one, now)) for one in reversed(found)]
    return render.page("rollouts.html", 200, name=name, rows=rows, count=count, now=now)


def _rollout_page(name: str, rollout: str) -> Response:
    with gate_store().engine.connect() as connection:
        found = trail.one(connection, name, rollout)
        newer = trail.replaced(connection, found) if found is not None else None
    if found is None:
        return render.missing(404, f"Model '{name}' has had no rollout '{rollout}'.")
    policy = floor_policy()
    view = build(
        replace(found, replaced=newer), datetime.now(UTC), operates=caller() in policy.allowed(*policy.may.operate)
    )
    return render.page("rollout.html", 200, view=view)
