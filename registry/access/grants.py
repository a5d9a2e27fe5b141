"""Who may edit what people create: MLflow's login gives a creator MANAGE, and everybody else only READ.

Reviewers must be able to move stages, the controller aliases, and training by people and by robot must be able to add
versions and runs to what the other began. So everyone the policy names gets EDIT when a model or an experiment appears.
MANAGE does not help anybody past the gate, which vetoes in the store.
"""

import re

import structlog
from flask import Flask, Response, g, request
from mlflow.exceptions import MlflowException
from mlflow.server import auth

from flywheel.identities import CONTROLLER, TRAINING
from registry.caller import floor_policy

log = structlog.get_logger()
CREATION = re.compile(r"/(?:ajax-)?api/2\.0/mlflow/(?P<what>registered-models|experiments|users)/create")
# MLflow's experiment "Default", where `mlflow run` without --experiment-name puts its run.
DEFAULT_EXPERIMENT = "0"


def share_what_is_created(app: Flask) -> None:
    """Grant EDIT after each creation; call it before MLflow's login is added.

    Flask runs such functions in reverse order, so the creator's own grant is there before ours.
    """
    app.after_request(_share)


def _share(response: Response) -> Response:
    match = CREATION.fullmatch(request.path)
    if match is None or response.status_code != 200:
        return response
    if match["what"] == "users":
        user = str(response.get_json()["user"]["username"])
        if user in _editors():
            _grant(user, "experiment", DEFAULT_EXPERIMENT, "EDIT")
    else:
        kind, name = _created(match["what"], response)
        for user in sorted(_editors() - {g.get("mlflow_authenticated_user")}):
            _grant(user, kind, name, "EDIT")
        _grant(CONTROLLER, kind, name, "MANAGE")  # MLflow asks that of whoever removes an alias
    return response


def _created(what: str, response: Response) -> tuple[str, str]:
    answer = response.get_json()
    if what == "experiments":
        return "experiment", str(answer["experiment_id"])
    return "registered_model", str(answer["registered_model"]["name"])


def _editors() -> set[str]:
    return {*floor_policy().people, TRAINING}


def _grant(user: str, kind: str, name: str, permission: str) -> None:
    try:
        auth.store.grant_user_permission(user, kind, name, permission)
    except MlflowException as fault:
        # A person in the policy who has no account yet must not keep others from working.
        log.warning("permission not granted", user=user, kind=kind, name=name, reason=str(fault))
