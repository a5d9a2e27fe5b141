"""Who calls, and under which policy: read from the request and from the policy file, anew each time."""

import os
from pathlib import Path

from flask import g, has_request_context
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, PERMISSION_DENIED

from flywheel.errors import SpecError
from flywheel.policy import Policy, load_policy
from registry.policy.rules import Refused, Verdict


def caller() -> str:
    """Return the user that MLflow's login has let in.

    Raises:
        MlflowException: Nobody is logged in, so nobody could answer for the change (403).
    """
    user = getattr(g, "mlflow_authenticated_user", None) if has_request_context() else None
    if not user:
        raise denied("The registry refuses changes without a login. Start the server with --app-name flywheel.")
    return str(user)


def floor_policy() -> Policy:
    """Read the server's policy from the file that FLYWHEEL_POLICY names.

    Raises:
        MlflowException: There is none or it is wrong; nothing is allowed then.
    """
    path = os.environ.get("FLYWHEEL_POLICY")
    if not path:
        raise MlflowException("The server has no policy: set FLYWHEEL_POLICY to a policy.yaml.", INTERNAL_ERROR)
    try:
        return load_policy(Path(path))
    except SpecError as fault:
        raise MlflowException(str(fault), INTERNAL_ERROR) from fault


def enforce(verdict: Verdict) -> None:
    """Pass, or answer 403 with the verdict's reason.

    Raises:
        MlflowException: The verdict refuses.
    """
    if isinstance(verdict, Refused):
        raise denied(verdict.reason)


def denied(reason: str) -> MlflowException:
    """Return the exception that MLflow answers as 403, with `reason` shown as it is."""
    return MlflowException(reason, error_code=PERMISSION_DENIED)
