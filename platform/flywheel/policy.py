"""The policy: who may do what, what Production needs, and how the policy itself changes. Values only; no server.

`HOME/policy.yaml` is the first one. From then on the audit trail holds it: each change is proposed, approved and
adopted as events, and the newest adopted policy is in force.
"""

import fnmatch
import hashlib
import json
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from flywheel.errors import SpecError
from flywheel.faults import reason_of, sentence_of
from flywheel.freeze import Freeze
from flywheel.identities import SERVICES
from flywheel.limits import BUILT_IN
from flywheel.policy_parts import (
    Changes,
    GatePolicy,
    May,
    Person,
    Production,
    Role,
    RolloutPolicy,
    Strict,
    Tighter,
    loosened,
    once,
    tightened,
)
from flywheel.yaml_text import parse_yaml, yaml_reason

__all__ = [
    "Changes",
    "Freeze",
    "GatePolicy",
    "May",
    "Person",
    "Policy",
    "Production",
    "Role",
    "RolloutPolicy",
    "Tighter",
    "frozen",
    "load_policy",
    "parse_policy",
    "unworkable",
]
GATES_GROUP = "flywheel.gates"


def _person(value: Any) -> Any:
    return {"role": value} if isinstance(value, str) else value


class Policy(Strict):
    """The server's policy. A model's section and a use case may tighten it, never loosen it."""

    people: dict[str, Annotated[Person, BeforeValidator(_person, json_schema_input_type=Person | Role)]] = Field(
        default={
            "ada": Person(role=Role.DATA_SCIENTIST),
            "grace": Person(role=Role.REVIEWER),
            "admin": Person(role=Role.ADMINISTRATOR),
        },
        description="Who may log in as more than a viewer: by name a role, or a section with one.",
    )
    may: May = Field(May(), description="Who may ask, review, operate, override, change the policy.")
    production: Production = Field(Production(), description="What a transition to Production needs.")
    gates: GatePolicy = Field(GatePolicy(), description="Which gates must have passed.")
    rollouts: RolloutPolicy = Field(RolloutPolicy(), description="What every rollout keeps.")
    changes: Changes = Field(Changes(), description="How this policy is changed.")
    models: dict[str, Tighter] = Field({}, description="By the model's name; * and ? stand for anything.")

    @model_validator(mode="after")
    def _people_are_people(self) -> Self:
        services = sorted(set(self.people) & set(SERVICES))
        if services:
            raise ValueError(f"'{services[0]}' is a service, whose rights are fixed; remove it from people")
        once((address.lower() for person in self.people.values() for address in person.commits_as), "address")
        return self

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

    def person_of(self, address: str) -> str | None:
        """Return who commits under an address, in any case; None when nobody says so."""
        wanted = address.lower()
        for name, person in self.people.items():
            if wanted in (known.lower() for known in person.commits_as):
                return name
        return None

    def for_model(self, name: str) -> "Policy":
        """Return the policy with every section that fits a model's name laid over it."""
        found = self
        for pattern in sorted(self.models):
            if fnmatch.fnmatchcase(name, pattern):
                section = self.models[pattern]
                production, gates = tightened(found.production, found.gates, section)
                guard = tuple(dict.fromkeys((*found.rollouts.guard, *section.guard)))
                rollouts = found.rollouts.model_copy(update={"guard": guard})
                found = found.model_copy(update={"production": production, "gates": gates, "rollouts": rollouts})
        return found

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON; reading that gives an equal policy."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """`sha256:…` of the document: two policies that say the same have the same."""
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def frozen(policy: Policy, now: datetime) -> Freeze | None:
    """Return the first freeze that holds at `now` (with a zone); None without one."""
    return next((freeze for freeze in policy.production.freeze if freeze.holds(now)), None)


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        SpecError: The file is missing, no YAML, or says something that a policy cannot say.
    """
    try:
        return parse_policy(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is no text in UTF-8"
        raise SpecError(f"Policy {path} cannot be read: {reason}. `flywheel up` writes one.") from fault


def parse_policy(text: str, where: str) -> Policy:
    """Read a policy from YAML or JSON; `where` names it in messages.

    Raises:
        SpecError: It is no YAML, or says something that a policy cannot say.
    """
    try:
        document = parse_yaml(text)
    except yaml.YAMLError as fault:
        raise SpecError(f"Policy {where} is no YAML: {yaml_reason(fault)}. Correct it.") from fault
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise SpecError(f"Policy {where} must be a mapping with people, may, production, gates, changes or models.")
    try:
        policy = Policy.model_validate(document)
    except ValidationError as fault:
        raise SpecError(f"Policy {where}: {_told(fault)}") from fault
    problem = unworkable(policy)
    if problem is not None:
        raise SpecError(f"Policy {where}: {problem}")
    return policy


def unworkable(policy: Policy) -> str | None:
    """Return why a well-formed policy could not work, in sentences with a remedy; None when it could."""
    return _people(policy) or _gates(policy) or _sections(policy)


def _told(fault: ValidationError) -> str:
    first = fault.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "enum":
        roles = ", ".join(Role)
        return f"'{place}' is wrong: role '{first['input']}' does not exist. Choose one of: {roles}."
    if place.startswith("models.") and first["type"] == "literal_error":
        return f"'{place}' is wrong: {reason_of(first)}, since a section only tightens. Leave it out."
    return sentence_of(fault)


def _people(policy: Policy) -> str | None:
    reviewers, changers = policy.reviewers(), policy.allowed(*policy.may.change_policy)
    if not reviewers:
        roles = ", ".join(policy.may.review) or "none"
        return f"nobody may review (may.review: {roles}), so nothing could reach Production. Name a reviewer in people."
    sections = [(f"models.{name}", section.approvals or 1) for name, section in policy.models.items()]
    for where, wanted in [("production", policy.production.approvals), *sections]:
        if wanted > len(reviewers):
            names = ", ".join(sorted(reviewers))
            return f"'{where}' wants {wanted} approvals, and only {names} may review. Name more reviewers in people."
    proposers = changers | policy.allowed(*policy.may.ask)
    most = max((len(changers - {proposer}) for proposer in proposers), default=0)
    if most < policy.changes.approvals:
        return (
            f"a change of policy needs {policy.changes.approvals} approvals of others than who proposes it, and only "
            f"{', '.join(sorted(changers)) or 'nobody'} may change it. Name more such people, or it could never change."
        )
    return None


def _gates(policy: Policy) -> str | None:
    known = {*BUILT_IN, *(point.name for point in entry_points(group=GATES_GROUP))}
    sections = [(f"models.{name}.gates", section.gates) for name, section in policy.models.items()]
    for where, names in [("gates.required", policy.gates.required), *sections]:
        unknown = [name for name in names if name not in known]
        if unknown:
            return f"'{where}' names gate '{unknown[0]}', which is not installed. Gates: {', '.join(sorted(known))}."
    return None


def _sections(policy: Policy) -> str | None:
    for name, section in policy.models.items():
        looser = loosened(policy.production, policy.gates, section)
        if looser is not None:
            return f"'models.{name}' is looser than the policy: {looser}. A section may only tighten: leave it out."
    return None
