"""The MLflow server as an ASGI app: MLflow behind its login, with the locks, the roles and the review pages added."""

import os
from typing import Any

from fastapi import FastAPI
from flask import Flask
from mlflow.server import app as mlflow_app
from mlflow.server import auth
from starlette.middleware import Middleware

from registry.access import routes as access
from registry.access.login import is_administrator
from registry.access.sso import SsoDoor, sso_settings
from registry.alerts import routes as alerts
from registry.alerts.page import add_pages as add_alert_page
from registry.caller import floor_policy
from registry.doors.bodies import answer_faults, require_object
from registry.doors.doorway import Doorway
from registry.doors.freeze import FrozenArtifacts
from registry.doors.keeper import NativeKeeper, keep_flask_routes
from registry.doors.makers import stamp_makers
from registry.doors.routes import NativeRoutes
from registry.gates import routes as gates
from registry.history import routes as history
from registry.hooks import routes as hooks
from registry.policy import routes as policy
from registry.review.links import ReviewLinks
from registry.review.page import add_review_pages
from registry.rollouts import routes as rollouts
from registry.rollouts.page import add_pages as add_rollout_pages
from registry.routes import ROOT
from registry.signing import routes as signing
from registry.store.opened import gate_store


def create_app(app: Flask = mlflow_app) -> FastAPI:
    """Build the server that `mlflow server --app-name flywheel` runs.

    What stands before `auth.create_app` is behind MLflow's login; what Flask is given after it comes after the login.
    """
    gate_store()  # opens it, which adopts the first policy
    floor_policy()  # a server without a policy must not start
    sso = sso_settings(os.environ)
    add_review_pages(app)
    add_rollout_pages(app)
    add_alert_page(app)
    for room in (access, alerts, gates, history, hooks, policy, rollouts, signing):
        room.add_routes(app)
    stamp_makers()
    auth.sender_is_admin = is_administrator
    _let_everybody_in()
    server: FastAPI = auth.create_app(app)
    answer_faults(app)
    keep_flask_routes(app)
    # The last are the innermost: the login comes before them.
    server.user_middleware.append(Middleware(NativeKeeper, routes=NativeRoutes(server.routes)))
    server.user_middleware.append(Middleware(FrozenArtifacts))
    server.add_middleware(ReviewLinks)
    server.add_middleware(SsoDoor, settings=sso)
    server.add_middleware(Doorway)  # added last, it is the outermost
    return server


def _let_everybody_in() -> None:
    # MLflow looks validators up by exact path, which paths with a model's name in them cannot have. Who may do what
    # below ROOT, each handler asks the policy. MLflow's validators read the body, so it is checked before them.
    stock = auth._find_validator

    def find(request: Any) -> Any:
        require_object()
        return _logged_in if request.path.startswith(ROOT) else stock(request)

    auth._find_validator = find


def _logged_in() -> bool:
    """Validate a request that the login has let through already."""
    return True
