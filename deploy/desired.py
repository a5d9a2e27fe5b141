"""What people decided, read from the audit trail: approved versions, and which of them should be live.

An approval is a transition to Production that carries a digest; only events count, and MLflow's stages must agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flywheel.errors import IntegrityError
from flywheel.events import Event, EventKind
from flywheel.policy import Policy, RolloutPolicy

PRODUCTION = "Production"


@dataclass(frozen=True)
class Served:
    """One version, pinned to the digest that was approved."""

    usecase: str
    version: str
    digest: str

    @property
    def subject(self) -> str:
        """How events name it."""
        return f"{self.usecase}/{self.version}"


@dataclass(frozen=True)
class Approval:
    """Somebody's decision that a version may be live; `rollback` when it was live before and is wanted back."""

    served: Served
    approver: str
    at: datetime
    seq: int
    rollback: bool = False


@dataclass(frozen=True)
class Wanted:
    """What people want of a use case now.

    Args:
        newest: The version that should be live.
        approved: All versions in Production.
        rollback: The newest was live before, and is wanted back.
    """

    newest: Served | None
    approved: frozenset[Served] = frozenset()
    rollback: bool = False


def approvals(events: Iterable[Event]) -> dict[str, list[Approval]]:
    """Return, by use case, the approvals that still stand: versions whose last transition went to Production."""
    standing: dict[str, Approval | None] = {}
    for event in events:
        if event.kind == EventKind.TRANSITION:
            standing[event.subject] = _approval(event)
    found: dict[str, list[Approval]] = {}
    for approval in standing.values():
        if approval is not None:
            found.setdefault(approval.served.usecase, []).append(approval)
    return found


def nothing_approved(usecase: str) -> str:
    """Say that nothing of a use case was ever approved."""
    return f"Use case '{usecase}' has no approved version. Have a reviewer move one to Production."


def newest(found: Iterable[Approval], stages: Mapping[str, str], failed: Iterable[str]) -> Served | None:
    """Return the version that should be live.

    Args:
        found: Approvals of one use case that stand.
        stages: MLflow's stage by version: a version that was moved or removed there is not wanted any more.
        failed: Digests whose rollout failed; they are not tried again.

    Returns:
        The highest version number that is approved, in Production and has not failed; None when there is none.
    """
    refused = set(failed)
    wanted = [
        approval.served
        for approval in found
        if stages.get(approval.served.version) == PRODUCTION and approval.served.digest not in refused
    ]
    return max(wanted, key=lambda served: int(served.version), default=None)


def in_production(found: Iterable[Approval], stages: Mapping[str, str]) -> frozenset[Served]:
    """Return the approved versions that are in Production still; see `newest`."""
    return frozenset(one.served for one in found if stages.get(one.served.version) == PRODUCTION)


def is_rollback(found: Iterable[Approval], desired: Served | None) -> bool:
    """Say whether the version that should be live was asked for by a rollback: it was live, and needs no canary."""
    return any(approval.rollback and approval.served == desired for approval in found)


def policy_of(events: Iterable[Event], usecase: str) -> RolloutPolicy:
    """Return what the policy in force says of a use case's rollouts; the defaults where none was ever adopted.

    Raises:
        IntegrityError: It cannot be read. No key of it is passed over, for each may forbid something.
    """
    adopted = [event for event in events if event.kind == EventKind.POLICY_ADOPTED]
    if not adopted:
        return RolloutPolicy()
    try:
        return Policy.model_validate(adopted[-1].body["document"]).for_model(usecase).rollouts
    except (KeyError, TypeError, ValueError) as fault:
        raise IntegrityError(
            f"The policy in force (event {adopted[-1].seq}) is none that this release can read: nothing of '{usecase}' "
            "starts. Have a policy adopted that it can read (`flywheel policy`)."
        ) from fault


def _approval(event: Event) -> Approval | None:
    digest = event.body.get("digest")
    if event.body.get("to") != PRODUCTION or not isinstance(digest, str) or not digest:
        return None
    usecase, _, version = event.subject.partition("/")
    if not version.isdecimal():
        return None
    served = Served(usecase, version, digest)
    return Approval(served, event.actor, event.at, event.seq, event.body.get("rollback") is True)
