"""What a controller works with: the audit trail, the registry, where versions run, and what is known of predictions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from deploy.desired import Served
from deploy.evidence.plan import EvidencePlan, Loss
from deploy.loop.looking import Evidence
from deploy.loop.plans import References
from deploy.loop.rollout import Rollout
from deploy.shares import ArmCounts, Share
from flywheel.events import Event, EventKind
from flywheel.rollbacks import Cause
from flywheel.rollout_spec import Rollout as RolloutSpec


class Readiness(StrEnum):
    """Whether a version can take traffic."""

    READY = "ready"
    STARTING = "starting"
    FAILED = "failed"


@dataclass(frozen=True)
class Condition:
    """A version's readiness; a failure says why and ends with the log's last lines.

    Args:
        readiness: Whether it can take traffic.
        reason: Of a failure.
        serving: How it is served (backend, replicas, why), for people and for the record.
        cause: Of a failure, what kind it is where nothing of the version has ever answered.
    """

    readiness: Readiness
    reason: str = ""
    serving: Mapping[str, Any] = field(default_factory=dict)
    cause: Cause = Cause.START


class Ledger(Protocol):
    """The audit trail. One process appends at a time; what `read` returns is verified."""

    def read(self) -> list[Event]:
        """Return all events in order; raises IntegrityError when the chain is broken."""

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        """Append one event durably before returning."""


class Stages(Protocol):
    """What people decided, as the registry has it."""

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        """Return the stage of each of these versions of a use case; what does not exist is left out."""


class Registered(Stages, Protocol):
    """The same, and what nobody has decided yet."""

    def undecided(self, usecase: str) -> str | None:
        """Return the newest version of a use case, unless somebody has put it into Production or archived it."""


class Registry(Stages, Protocol):
    """The registry as svc-controller sees it; every call may be repeated."""

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        """Point an alias at a version, or remove it; nothing happens when it is so already."""

    def go_back(self, served: Served, reason: str) -> None:
        """Bring a former champion back to Production, and archive what took its place.

        Nothing happens when that is so already. Raises a FlywheelError where it cannot be gone back to.
        """

    def archive(self, served: Served, reason: str) -> None:
        """Move a version to Archived; nothing happens when it is not in Production."""


class Target(Protocol):
    """Where versions run. No call waits for long; every call may be repeated after a crash."""

    def spec(self, served: Served) -> RolloutSpec:
        """Fetch and verify a package, and return how its use case wants to be rolled out; raises IntegrityError."""

    def ensure(self, served: Served) -> Condition:
        """Start a version unless it runs, and say how far it is."""

    def route(self, shares: Sequence[Share]) -> set[str]:
        """Bring traffic closer to these shares; return the use cases for which the gateway has confirmed them."""

    def healthy(self, usecase: str) -> frozenset[str]:
        """Return the versions that pass the gateway's health checks."""

    def counts(self, share: Share) -> dict[str, ArmCounts]:
        """Count each arm of a share, as `Share.arms` names them, since the gateway knows it; a mirror is `shadow`."""

    def retire(self, keep: set[Served], apart: frozenset[str] = frozenset()) -> bool:
        """Stop what is not kept once its last request is answered; True when nothing else is left.

        Nothing is stopped of the use cases that are kept `apart`.
        What is routed though nothing of its use case is kept goes on: it is the last that answers there.
        """

    def remove(self, usecase: str) -> bool:
        """Take a use case out of traffic, for `retire` to stop it; True once nothing of it is left."""


class Losses(Protocol):
    """What the log says of a live version's loss; see `deploy.evidence.lasting.LastingLosses`."""

    @property
    def plan(self) -> EvidencePlan:
        """The task, and the outputs."""

    def newest(self) -> int:
        """Return where its outcomes end; raises StackError when the log cannot be read."""

    def after(self, place: int, now: datetime, loss: Loss) -> tuple[list[float], int]:
        """Return losses that became known after a place, and the next place; raises StackError likewise."""


class Observatory(Protocol):
    """What the prediction log knows. It may know nothing: then rollouts go by the gateway's counts alone."""

    def references(self, champion: Served, new: Served, spec: RolloutSpec) -> References:
        """Return what the plan of a rollout goes by, of the champion's predictions and outcomes."""

    def evidence(self, rollout: Rollout) -> Evidence | None:
        """Return what looks at a rollout are made of; None where the log has nothing to say."""

    def losses(self, reign: Rollout) -> Losses:
        """Return what the log says of the loss of what a rollout brought; raises FlywheelError where it cannot tell."""
