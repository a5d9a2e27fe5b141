"""Accounts, roles, permissions and webhooks are the administrators', whatever MLflow lets the owner of a thing do.

MLflow lets whoever made a model give and take rights on it. A giver could make an editor of a viewer, and a taker could
keep the controller from a rollback; so both are left to administrators, who follow the policy. What administrators give
helps nobody past the gate, which asks the policy and not MLflow's permissions.
"""

from mlflow.server import auth


def not_administrator() -> str | None:
    """Return why the caller may not do this; None for an administrator."""
    if auth.sender_is_admin():
        return None
    return "Refused: accounts, permissions and webhooks are an administrator's. Ask one."
