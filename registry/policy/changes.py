"""How the policy changes: proposals as a fold of events, and who may do what with them. Pure; `amendment` acts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from flywheel.events import Event, EventKind
from flywheel.policy import Policy
from registry.access.accounts import Logins
from registry.policy.in_force import InForce
from registry.policy.rules import Allowed, Refused, Verdict

KINDS = (
    EventKind.POLICY_PROPOSED,
    EventKind.POLICY_APPROVED,
    EventKind.POLICY_REJECTED,
    EventKind.POLICY_ADOPTED,
)


@dataclass(frozen=True)
class Vote:
    """What somebody said of a proposal, in event `seq`."""

    by: str
    comment: str
    at: datetime
    seq: int


@dataclass(frozen=True)
class Proposal:
    """A policy that somebody wants.

    Args:
        number: 1 for the first proposal ever.
        proposer: Who wants it.
        reason: Why.
        document: The policy as plain JSON; `digest` is its.
        digest: Names what is approved.
        against: Number of the policy that was in force when it was proposed.
        at: When, UTC.
        status: `stale` when another policy came into force meanwhile.
        approvals: Oldest first, one a person.
        rejection: Who ended it, if somebody did.
    """

    number: int
    proposer: str
    reason: str
    document: dict[str, Any]
    digest: str
    against: int
    at: datetime
    status: Literal["open", "adopted", "rejected", "stale"] = "open"
    approvals: tuple[Vote, ...] = ()
    rejection: Vote | None = None


def read_proposals(events: Iterable[Event]) -> dict[int, Proposal]:
    """Return all proposals by number; `events` are those of `KINDS`, in order."""
    found: dict[int, Proposal] = {}
    for event in events:
        if event.kind == EventKind.POLICY_PROPOSED:
            proposal = _proposal(event)
            found[proposal.number] = proposal
        elif event.kind == EventKind.POLICY_ADOPTED:
            _adopt(found, event)
        elif event.body.get("proposal") in found:
            number = event.body["proposal"]
            found[number] = _with_vote(found[number], event)
    return found


def _proposal(event: Event) -> Proposal:
    body = event.body
    return Proposal(
        number=body["proposal"],
        proposer=event.actor,
        reason=body["reason"],
        document=body["document"],
        digest=body["digest"],
        against=body["against"],
        at=event.at,
    )


def _with_vote(proposal: Proposal, event: Event) -> Proposal:
    vote = Vote(event.actor, str(event.body.get("comment", "")), event.at, event.seq)
    if event.kind == EventKind.POLICY_REJECTED:
        return replace(proposal, status="rejected", rejection=vote)
    others = tuple(other for other in proposal.approvals if other.by != vote.by)
    return replace(proposal, approvals=(*others, vote))


def _adopt(found: dict[int, Proposal], event: Event) -> None:
    for number, proposal in found.items():
        if number == event.body.get("proposal"):
            found[number] = replace(proposal, status="adopted")
        elif proposal.status == "open":
            found[number] = replace(proposal, status="stale")


def judge_proposal(actor: str, proposed: Policy, held: InForce, logins: Logins) -> Verdict:
    """Decide whether `actor` may propose a policy under the one in force."""
    policy = held.policy
    may = policy.allowed(*policy.may.ask, *policy.may.change_policy)
    if actor not in may:
        names = ", ".join(sorted(may))
        return Refused(f"Proposal refused: '{actor}' may not propose a policy. These may: {names}.")
    if (fault := logins.fault(actor)) is not None:
        return Refused(f"Proposal refused: {fault}.")
    if proposed.digest == held.digest:
        return Refused(f"Proposal refused: it says what policy {held.number}, which is in force, says already.")
    return Allowed()


def judge_vote(actor: str, proposal: Proposal, held: InForce, logins: Logins, *, reject: bool) -> Verdict:
    """Decide whether `actor` may approve or reject an open proposal under the policy in force before it."""
    what = f"{'Rejection' if reject else 'Approval'} of proposal {proposal.number} refused: "
    may = held.policy.allowed(*held.policy.may.change_policy)
    if actor == proposal.proposer and not reject:
        others = ", ".join(sorted(may - {actor})) or "nobody"
        return Refused(f"{what}{actor} proposed it, and others must approve it. These may: {others}.")
    if actor not in may and actor != proposal.proposer:
        names = ", ".join(sorted(may))
        return Refused(f"{what}'{actor}' may not change the policy. These may: {names}.")
    fault = logins.fault(actor)
    return Refused(f"{what}{fault}.") if fault and not reject else Allowed()


def closed(proposal: Proposal, held: InForce) -> str | None:
    """Return why a proposal can no longer be decided, in a sentence; None while it is open."""
    if proposal.status in ("adopted", "rejected"):
        return f"Proposal {proposal.number} is {proposal.status} already."
    if proposal.status == "stale" or proposal.against != held.number:
        return (
            f"Proposal {proposal.number} is stale: it changes policy {proposal.against}, and policy {held.number} is "
            "in force now. Propose it again."
        )
    return None


def lacking(proposal: Proposal, held: InForce, logins: Logins) -> int:
    """Return how many approvals are missing: only those of others count who still may."""
    may = held.policy.allowed(*held.policy.may.change_policy) - {proposal.proposer}
    voters = {vote.by for vote in proposal.approvals if logins.fault(vote.by, vote.seq) is None}
    return max(0, held.policy.changes.approvals - len(voters & may))
