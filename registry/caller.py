"""Who calls, and under which policy: read from the request and from the audit trail."""

from flask import g, has_request_context
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, PERMISSION_DENIED, RESOURCE_CONFLICT
from sqlalchemy import Connection

from flywheel.errors import IntegrityError
from flywheel.policy import Policy
from registry.policy.in_force import CachedPolicy, in_force
from registry.policy.rules import Refused, Verdict

CACHED = CachedPolicy()


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
    """Return the policy in force, at most a second old: for what decides nothing, such as who is shown as a reviewer.

    Raises:
        MlflowException: There is none; nothing is allowed then.
    """
    try:
        return CACHED.read().policy
    except IntegrityError as fault:
        raise MlflowException(str(fault), INTERNAL_ERROR) from fault


def policy_of(connection: Connection) -> Policy:
    """Return the policy in force as a transaction sees it: for judgements.

    Raises:
        MlflowException: There is none; nothing is allowed then.
    """
    try:
        return in_force(connection).policy
    except IntegrityError as fault:
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


def conflict(reason: str) -> MlflowException:
    """Return the exception that MLflow answers as 409."""
    return MlflowException(reason, error_code=RESOURCE_CONFLICT)
