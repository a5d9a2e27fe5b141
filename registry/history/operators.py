"""Who may operate: take versions out of Production, roll back, sign what has no signature."""

from flywheel.identities import CONTROLLER
from flywheel.policy import Policy
from registry.caller import denied


def require_operator(policy: Policy, actor: str, what: str) -> None:
    """Pass for the controller and for people whom the policy lets operate.

    Args:
        policy: In force.
        actor: Who asks.
        what: The request as a sentence's beginning, such as "Rolling back 'churn'".

    Raises:
        MlflowException: They may not (403).
    """
    may = policy.allowed(*policy.may.operate)
    if actor == CONTROLLER or actor in may:
        return
    names = ", ".join(sorted(may)) or "nobody yet: add one to policy.yaml"
    roles = " or ".join(policy.may.operate)
    raise denied(f"{what} refused: '{actor}' is no {roles} in the server's policy. Who can: {names}.")
