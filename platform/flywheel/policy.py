"""The policy: who may do what, what Production needs, and how the policy itself changes. Values only; no server.

`HOME/policy.yaml` is the first one. From then on the audit trail holds it: each change is proposed, approved and
adopted as events, and the newest adopted policy is in force.
"""

import fnmatch
from datetime import datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from flywheel.errors import SpecError
from flywheel.limits import BUILT_IN, Limits, PolicyLimits
from flywheel.usecase import Duration

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Role(StrEnum):
    """What a person is; MLflow's permissions follow from it."""

    VIEWER = "viewer"  # reads everything, changes nothing
    DATA_SCIENTIST = "data_scientist"  # trains, registers, asks for review
    REVIEWER = "reviewer"  # approves, rejects
    OPERATOR = "operator"  # archives and rolls back
    ADMINISTRATOR = "administrator"  # accounts, tokens, policy; approves nothing


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(Strict):
    """One person."""

    role: Role = Field(description="What they are.")
    commits_as: tuple[str, ...] = Field((), description="Addresses under which git knows them; for four eyes.")


class May(Strict):
    """Which roles may do what."""

    ask: tuple[Role, ...] = Field(
        (Role.DATA_SCIENTIST, Role.REVIEWER), description="Move to Staging, request gates, comment."
    )
    review: tuple[Role, ...] = Field((Role.REVIEWER,), description="Approve, reject, move to Production.")
    operate: tuple[Role, ...] = Field(
        (Role.OPERATOR, Role.REVIEWER), description="Take out of Production, and roll back."
    )
    override: tuple[Role, ...] = Field((Role.ADMINISTRATOR,), description="Break glass, with a reason.")
    change_policy: tuple[Role, ...] = Field(
        (Role.ADMINISTRATOR, Role.REVIEWER), description="Approve another's proposal of a policy."
    )


class Freeze(Strict):
    """A time in which nothing goes to Production, rollbacks excepted. Either a span, or hours of a week."""

    reason: str = Field(description="Why; refusals say it.")
    start: AwareDatetime | None = Field(None, description="Of a span, with its zone.")
    end: AwareDatetime | None = Field(None, description="Of a span, with its zone.")
    days: tuple[Day, ...] = Field((), description="Of the week, in `time_zone`.")
    hours: tuple[time, time] | None = Field(None, description="From and to on those days; the whole day by default.")
    time_zone: str = Field("UTC", description="In which days and hours are meant.")


class GatePolicy(Strict):
    """Which gates must have passed, and their limits."""

    required: tuple[str, ...] = Field(BUILT_IN, description="Gates that Production needs.")
    limits: PolicyLimits = Field(PolicyLimits(), description="What they measure against.")
    expire: Duration = Field(timedelta(days=30), description="Older evidence is stale.")


class Production(Strict):
    """What a transition to Production needs at least."""

    four_eyes: bool = Field(True, description="Nobody who contributed since the last approved commit may approve.")
    unknown_contributors: Literal["allow", "refuse"] = Field(
        "allow", description="When the commits behind a version are not known."
    )
    approvals: int = Field(1, ge=1, le=10, description="Reviewers who must approve, the one who moves it included.")
    approvals_expire: Duration = Field(timedelta(days=30), description="Older approvals do not count.")
    robots: Literal["review", "gates"] = Field(
        "review", description="Whether versions that a service trained on newer data alone may pass on green gates."
    )
    freeze: tuple[Freeze, ...] = Field((), description="When nothing goes to Production.")


class Tighter(Strict):
    """What some models need beyond the rest; what is not set stays."""

    four_eyes: Literal[True] | None = None
    unknown_contributors: Literal["refuse"] | None = None
    approvals: int | None = Field(None, ge=1, le=10)
    approvals_expire: Duration | None = None
    freeze: tuple[Freeze, ...] = ()
    gates: tuple[str, ...] = Field((), description="Gates required beside the others.")
    limits: Limits = Limits()


class Changes(Strict):
    """How a policy is changed."""

    approvals: int = Field(1, ge=1, le=10, description="Of others than who proposes.")


def _person(value: Any) -> Any:
    return {"role": value} if isinstance(value, str) else value


class Policy(Strict):
    """The server's policy. A model's section and a use case may tighten it, never loosen it."""

    people: dict[str, Annotated[Person, BeforeValidator(_person)]] = Field(
        default={
            "ada": Person(role=Role.DATA_SCIENTIST),
            "grace": Person(role=Role.REVIEWER),
            "admin": Person(role=Role.ADMINISTRATOR),
        }
    )
    may: May = May()
    production: Production = Production()
    gates: GatePolicy = GatePolicy()
    changes: Changes = Changes()
    models: dict[str, Tighter] = Field({}, description="By the model's name; * and ? stand for anything.")

    def role(self, user: str) -> Role | None:
        """Return a person's role; None for who is not named."""
        person = self.people.get(user)
        return person.role if person else None

    def allowed(self, *roles: Role) -> set[str]:
        """Return the people who have one of the roles."""
        return {name for name, person in self.people.items() if person.role in roles}

    def reviewers(self) -> set[str]:
        """Return the people who may approve a version."""
        return self.allowed(*self.may.review)

    def for_model(self, name: str) -> "Policy":
        """Return the policy with every section that fits a model's name laid over it."""
        found = self
        for pattern in sorted(self.models):
            if fnmatch.fnmatchcase(name, pattern):
                found = _tightened(found, self.models[pattern])
        return found


def _tightened(policy: Policy, more: Tighter) -> Policy:
    raise NotImplementedError  # step3: policy helper


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        SpecError: The file is missing, no YAML, or says something that a policy cannot say.
    """
    try:
        return parse_policy(path.read_text(), str(path))
    except OSError as fault:
        raise SpecError(f"Policy {path} cannot be read: {fault.strerror}. `flywheel up` writes one.") from fault


def parse_policy(text: str, where: str) -> Policy:
    """Read a policy from YAML or JSON; `where` names it in messages.

    Raises:
        SpecError: It is no YAML, or says something that a policy cannot say.
    """
    try:
        return Policy.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as fault:
        raise SpecError(f"Policy {where} is no YAML: {fault}. Correct it.") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"Policy {where}: '{place}' is wrong: {first['msg']}. Correct it.") from fault


def frozen(policy: Policy, now: datetime) -> Freeze | None:
    """Return the freeze that holds at `now` (with a zone); None without one."""
    raise NotImplementedError  # step3: policy helper
