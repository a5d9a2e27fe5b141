"""Who plays which part: the policy's roles and the services, as areas they may change and MLflow permissions they need.

Pure; `registry.access.roles` keeps MLflow in step with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flywheel.identities import ADMIN, AGENTS, CONTROLLER, GATES, MONITORING, TRAINING
from flywheel.policy import Policy, Role
from registry.doors.census import Area

EXPERIMENT, MODEL, PROMPT = "experiment", "registered_model", "prompt"  # MLflow's kinds of resource
EDIT, MANAGE = "EDIT", "MANAGE"  # MLflow's permissions; READ is everybody's by default


@dataclass(frozen=True)
class Part:
    """One part.

    Args:
        name: As the policy or the stack names it; MLflow's role is `flywheel.<name>`.
        areas: Where whoever plays it may change things at all.
        grants: MLflow's permission on everything of a kind.
    """

    name: str
    areas: frozenset[Area]
    grants: Mapping[str, str] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """The name of its role in MLflow."""
        return f"flywheel.{self.name}"

    @property
    def is_admin(self) -> bool:
        """Whether MLflow's administrator flag goes with it."""
        return self.name == Role.ADMINISTRATOR


VIEWER = Part(Role.VIEWER, frozenset({Area.READ, Area.OWN, Area.PREDICT}))
_WORK = frozenset({Area.READ, Area.OWN, Area.TRACKING, Area.REGISTRY, Area.REVIEW, Area.PREDICT})
_EVERYTHING = {EXPERIMENT: EDIT, MODEL: EDIT, PROMPT: EDIT}
PEOPLE = {
    Role.VIEWER: VIEWER,
    Role.DATA_SCIENTIST: Part(Role.DATA_SCIENTIST, _WORK, _EVERYTHING),
    Role.REVIEWER: Part(Role.REVIEWER, _WORK, _EVERYTHING),
    Role.OPERATOR: Part(Role.OPERATOR, _WORK, {MODEL: EDIT}),
    Role.ADMINISTRATOR: Part(Role.ADMINISTRATOR, frozenset(Area)),
}
SERVICES = {
    TRAINING: Part(TRAINING, _WORK - {Area.OWN}, _EVERYTHING),
    # MLflow asks MANAGE of whoever removes an alias.
    CONTROLLER: Part(CONTROLLER, _WORK - {Area.OWN}, {EXPERIMENT: EDIT, MODEL: MANAGE}),
    MONITORING: Part(MONITORING, frozenset({Area.READ, Area.TRACKING}), {EXPERIMENT: EDIT}),
    AGENTS: Part(AGENTS, frozenset({Area.READ, Area.PREDICT})),
    GATES: Part(GATES, frozenset({Area.READ, Area.REGISTRY, Area.REVIEW})),
}


def part_of(user: str, policy: Policy) -> Part:
    """Return the part that an account plays. Who is not named is a viewer.

    The account that sets the server up is always an administrator: without it nobody could be let in again.
    """
    if user in SERVICES:
        return SERVICES[user]
    if user == ADMIN:
        return PEOPLE[Role.ADMINISTRATOR]
    role = policy.role(user)
    return PEOPLE[role] if role else VIEWER
