"""Proposes, approves, rejects and adopts policies: each in one transaction that holds the chain's head."""

import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from flywheel import events
from flywheel.events import EVENTS, Event, EventKind
from flywheel.policy import Policy, parse_policy, unworkable
from registry.access.accounts import Logins, read_logins
from registry.caller import conflict, enforce
from registry.policy.changes import KINDS, Proposal, closed, judge_proposal, judge_vote, lacking, read_proposals
from registry.policy.in_force import SUBJECT, InForce, adoption, in_force


def proposals(connection: sa.Connection) -> dict[int, Proposal]:
    """Read all proposals by number."""
    found: list[Event] = []
    for kind in KINDS:
        found += events.read(connection, kind)
    return read_proposals(sorted(found, key=lambda event: event.seq))


def propose(engine: sa.Engine, actor: str, text: str, reason: str) -> Proposal:
    """Record a proposal; `text` is the whole policy as YAML or JSON.

    Raises:
        SpecError: It is no policy, or one that could not work (400).
        MlflowException: The caller may not propose it (403).
    """
    policy = parse_policy(text, "that is proposed")
    with engine.begin() as connection:
        events.lock_head(connection)
        held = in_force(connection)
        enforce(judge_proposal(actor, policy, held, read_logins(connection, [actor])))
        number = _count(connection) + 1
        body = {
            "proposal": number,
            "against": held.number,
            "digest": policy.digest,
            "document": policy.document(),
            "reason": reason,
        }
        events.append(connection, EventKind.POLICY_PROPOSED, _subject(number), actor, body)
        return proposals(connection)[number]


def approve(engine: sa.Engine, actor: str, number: int, comment: str) -> Proposal:
    """Approve a proposal, and adopt it with the last approval that it needs.

    Raises:
        MlflowException: There is no such proposal (404), it is closed or stale (409), or the caller may not (403).
    """
    with engine.begin() as connection:
        held, proposal = _open(connection, number)
        logins = voters(connection, held)
        enforce(judge_vote(actor, proposal, held, logins, reject=False))
        body = {"proposal": number, "digest": proposal.digest, "comment": comment}
        events.append(connection, EventKind.POLICY_APPROVED, _subject(number), actor, body)
        approved = proposals(connection)[number]
        if lacking(approved, held, logins) == 0:
            _adopt(connection, actor, approved, held)
        return proposals(connection)[number]


def reject(engine: sa.Engine, actor: str, number: int, comment: str) -> Proposal:
    """Reject a proposal, or take back one's own.

    Raises:
        MlflowException: As with `approve`.
    """
    with engine.begin() as connection:
        held, proposal = _open(connection, number)
        enforce(judge_vote(actor, proposal, held, Logins(), reject=True))
        body = {"proposal": number, "digest": proposal.digest, "comment": comment}
        events.append(connection, EventKind.POLICY_REJECTED, _subject(number), actor, body)
        return proposals(connection)[number]


def voters(connection: sa.Connection, held: InForce) -> Logins:
    """Read the logins of who may change the policy."""
    return read_logins(connection, held.policy.allowed(*held.policy.may.change_policy))


def _open(connection: sa.Connection, number: int) -> tuple[InForce, Proposal]:
    events.lock_head(connection)
    held, proposal = in_force(connection), proposals(connection).get(number)
    if proposal is None:
        raise MlflowException(
            f"There is no proposal {number}. List them: flywheel policy proposals.", RESOURCE_DOES_NOT_EXIST
        )
    reason = closed(proposal, held)
    if reason is not None:
        raise conflict(reason)
    return held, proposal


def _adopt(connection: sa.Connection, actor: str, proposal: Proposal, held: InForce) -> None:
    policy = Policy.model_validate(proposal.document)
    problem = unworkable(policy)  # a gate that was installed when it was proposed may be gone
    if problem is not None:
        raise conflict(f"Proposal {proposal.number} cannot be adopted: {problem}")
    adopted = adoption(held.number + 1, policy, proposal.reason) | {"proposal": proposal.number}
    subject = SUBJECT.format(number=held.number + 1)
    events.append(connection, EventKind.POLICY_ADOPTED, subject, actor, adopted)


def _count(connection: sa.Connection) -> int:
    query = sa.select(sa.func.count()).where(EVENTS.c.kind == str(EventKind.POLICY_PROPOSED))
    return int(connection.scalar(query) or 0)


def _subject(number: int) -> str:
    return f"policy-proposal:{number}"
