"""What a policy consists of, and how a model's section tightens it: the stricter value of each field holds."""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from flywheel.durations import Duration
from flywheel.freeze import Freeze
from flywheel.limits import BUILT_IN, Limits, PolicyLimits, stricter
from flywheel.rollout_spec import GuardName, Kpi, Rollout


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
        (Role.DATA_SCIENTIST, Role.REVIEWER), description="Move to Staging, request gates, comment, propose a policy."
    )
    review: tuple[Role, ...] = Field((Role.REVIEWER,), description="Approve, reject, move to Production.")
    operate: tuple[Role, ...] = Field(
        (Role.OPERATOR, Role.REVIEWER), description="Take out of Production, and roll back."
    )
    override: tuple[Role, ...] = Field((Role.ADMINISTRATOR,), description="Break glass, with a reason.")
    change_policy: tuple[Role, ...] = Field(
        (Role.ADMINISTRATOR, Role.REVIEWER), description="Propose a policy, and approve another's proposal."
    )

    @field_validator("*")
    @classmethod
    def _each_once(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        return once(roles, "role")


Length = Annotated[Duration, Field(gt=timedelta(0))]


class GatePolicy(Strict):
    """Which gates must have passed, and their limits."""

    required: tuple[str, ...] = Field(BUILT_IN, description="Gates that Production needs.")
    limits: PolicyLimits = Field(PolicyLimits(), description="What they measure against.")
    expire: Length = Field(timedelta(days=30), description="Older evidence is stale.")

    @field_validator("required")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return in_order(once(names, "gate"))


class Production(Strict):
    """What a transition to Production needs at least."""

    four_eyes: bool = Field(True, description="Nobody who contributed since the last approved commit may approve.")
    unknown_contributors: Literal["allow", "refuse"] = Field(
        "allow", description="When the commits behind a version are not known."
    )
    approvals: int = Field(1, ge=1, le=10, description="Reviewers who must approve, the one who moves it included.")
    approvals_expire: Length = Field(timedelta(days=30), description="Older approvals do not count.")
    robots: Literal["review", "gates"] = Field(
        "review", description="Whether versions that a service trained on newer data alone may pass on green gates."
    )
    freeze: tuple[Freeze, ...] = Field((), description="When nothing goes to Production.")


class RolloutPolicy(Strict):
    """What every rollout keeps, whatever its use case asks for."""

    alpha: float = Field(
        0.05,
        gt=0,
        le=0.2,
        description="Probability of rolling back a version that is as good as the champion, which its guards share, and"
        " of letting one pass that is worse by the margin.",
    )
    guard: tuple[GuardName, ...] = Field(("errors",), description="What every new version is judged by at least.")
    bake: Duration = Field(timedelta(0), description="The old version stays warm at least so long.")

    @field_validator("guard")
    @classmethod
    def _each_once(cls, names: tuple[GuardName, ...]) -> tuple[GuardName, ...]:
        return once(names, "guard")

    def over(self, asked: Rollout) -> Rollout:
        """Return what a use case asks for with this laid over it. A guard that nothing is said of has its defaults."""
        guard = tuple(dict.fromkeys((*asked.guard, *self.guard)))
        parts = asked.parts_beside(set(guard) - set(asked.guard))
        kpi = asked.kpi or (Kpi() if "kpi" in guard else None)
        update = {"guard": guard, "parts": parts, "kpi": kpi, "bake": max(asked.bake, self.bake)}
        return asked.model_copy(update=update)


class Tighter(Strict):
    """What some models need beyond the rest; what is not set stays."""

    four_eyes: Literal[True] | None = Field(None, description="Nobody who contributed may approve.")
    unknown_contributors: Literal["refuse"] | None = Field(
        None, description="When the commits behind a version are not known."
    )
    approvals: int | None = Field(None, ge=1, le=10, description="Reviewers who must approve, where that is more.")
    approvals_expire: Length | None = Field(None, description="Older approvals do not count, where that is shorter.")
    robots: Literal["review"] | None = Field(None, description="A reviewer decides about every version.")
    freeze: tuple[Freeze, ...] = Field((), description="Beside the others.")
    gates: tuple[str, ...] = Field((), description="Gates required beside the others.")
    limits: Limits = Field(Limits(), description="What gates measure against, where that is stricter.")
    expire: Length | None = Field(None, description="Older evidence is stale.")
    guard: tuple[GuardName, ...] = Field((), description="Guards of a rollout beside the others.")

    @field_validator("gates")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return once(names, "gate")


class Changes(Strict):
    """How a policy is changed."""

    approvals: int = Field(1, ge=1, le=10, description="Of others than who proposes.")


def once(values: Iterable[Any], noun: str) -> tuple[Any, ...]:
    """Return the values, or raise ValueError for the first that is there twice."""
    seen: list[Any] = []
    for value in values:
        if value in seen:
            raise ValueError(f"{noun} '{value}' is there twice; remove one")
        seen.append(value)
    return tuple(seen)


def in_order(gates: Iterable[str]) -> tuple[str, ...]:
    """Return gates in the one order that policies keep: those that come with Flywheel first, then by name."""
    return tuple(sorted(set(gates), key=lambda name: (BUILT_IN.index(name) if name in BUILT_IN else 99, name)))


def tightened(floor: Production, gates: GatePolicy, more: Tighter) -> tuple[Production, GatePolicy]:
    """Join field by field; the stricter value holds, so that the order of sections does not matter."""
    production = floor.model_copy(
        update={
            "four_eyes": floor.four_eyes or bool(more.four_eyes),
            "unknown_contributors": more.unknown_contributors or floor.unknown_contributors,
            "robots": more.robots or floor.robots,
            "approvals": max(floor.approvals, more.approvals or 1),
            "approvals_expire": min(floor.approvals_expire, more.approvals_expire or floor.approvals_expire),
            "freeze": _together(floor.freeze, more.freeze),
        }
    )
    required = {
        "required": in_order({*gates.required, *more.gates}),
        "limits": stricter(gates.limits, more.limits)[0],
        "expire": min(gates.expire, more.expire or gates.expire),
    }
    return production, gates.model_copy(update=required)


def _together(some: Iterable[Freeze], others: Iterable[Freeze]) -> tuple[Freeze, ...]:
    by_text = {freeze.model_dump_json(): freeze for freeze in (*some, *others)}
    return tuple(by_text[text] for text in sorted(by_text))


def loosened(base: Production, gates: GatePolicy, section: Tighter) -> str | None:
    """Return what in a model's section is looser than the policy, as "approvals 1 against 2"; None when nothing is."""
    if section.approvals is not None and section.approvals < base.approvals:
        return f"approvals {section.approvals} against {base.approvals}"
    if section.approvals_expire is not None and section.approvals_expire > base.approvals_expire:
        return f"approvals_expire {section.approvals_expire} against {base.approvals_expire}"
    if section.expire is not None and section.expire > gates.expire:
        return f"expire {section.expire} against {gates.expire}"
    return _loosened_limit(gates.limits, section.limits)


def _loosened_limit(floor: Limits, asked: Limits) -> str | None:
    joined = stricter(floor, asked)[0]
    for name in Limits.model_fields:
        here, there, held = (getattr(limits, name) for limits in (floor, asked, joined))
        if isinstance(there, dict):
            for key in sorted(there):
                if key in here and held[key] != there[key]:
                    return f"limits.{name}.{key} {there[key]:g} against {here[key]:g}"
        elif isinstance(there, tuple) and here is not None and set(there) - set(here):
            return f"limits.{name} with {', '.join(sorted(set(there) - set(here)))}, which the policy does not have"
        elif not isinstance(there, tuple) and None not in (here, there) and held != there:
            return f"limits.{name} {there:g} against {here:g}"
    return None
