"""What a plan can be expected to do before it starts: how long it takes, what it finds, and what it cannot tell."""

from deploy.verdict_plan import PlanSpec


def cautions(plan: PlanSpec, *, canary_pods: int | None = None) -> list[str]:
    """Return what no test of the plan can tell, a sentence each; none when there is nothing to say.

    Args:
        plan: The plan.
        canary_pods: Number of the canary's pods; None when it is not known.
    """
    if canary_pods != 1:
        return []
    return [
        "The canary has one pod, and a pod that is bad for the whole rollout is not told from a bad version:"
        " give it two or more."
    ]
