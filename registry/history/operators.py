"""Who may operate: take versions out of Production, roll back, sign what has no signature."""

from flywheel.identities import CONTROLLER
from registry.caller import denied, floor_policy


def require_operator(actor: str, what: str) -> None:
    """Pass for the controller and for people whom the policy lets operate.

    Args:
        actor: Who asks.
        what: The request as a sentence's beginning, such as "Rolling back 'churn'".

    Raises:
        MlflowException: They may not (403).
    """
    policy = floor_policy()
    may = policy.allowed(*policy.may.operate)
    if actor == CONTROLLER or actor in may:
        return
    names = ", ".join(sorted(may)) or "nobody yet: add one to policy.yaml"
    roles = " or ".join(policy.may.operate)
    raise denied(f"{what} refused: '{actor}' is no {roles} in the server's policy. Who can: {names}.")
