"""The policy in force, in a form that people read, and the changes of it that somebody wants."""

from dataclasses import dataclass
from typing import Any

import yaml
from flask import Flask, Response

from flywheel.policy import Policy
from registry.access.accounts import Logins
from registry.caller import caller
from registry.policy.amendment import proposals, voters
from registry.policy.changes import Proposal, closed, judge_vote, lacking
from registry.policy.in_force import InForce, in_force
from registry.policy.rules import Allowed
from registry.review import render
from registry.review.code_changes import FileChange, file_change
from registry.store.opened import gate_store

SHOWN = 20  # proposals, newest first
MAY = {
    "ask": "Ask for review, request gates, comment",
    "review": "Approve, reject, move to Production",
    "operate": "Take out of Production, roll back",
    "override": "Break the glass, with a reason",
    "change_policy": "Approve another's change of the policy",
}


@dataclass(frozen=True)
class Wanted:
    """A proposal beside the policy in force: its difference, what it still needs, and what the viewer may do."""

    proposal: Proposal
    change: FileChange | None
    lacking: int
    closed: str | None
    may_approve: bool
    may_reject: bool


def add_pages(app: Flask) -> None:
    """Add the page."""
    app.add_url_rule("/flywheel/policy", "flywheel_policy", _policy_page)


def _policy_page() -> Response:
    with gate_store().engine.connect() as connection:
        held = in_force(connection)
        logins = voters(connection, held)
        found = list(proposals(connection).values())
    return render.page(
        "policy.html",
        200,
        held=held,
        policy=held.policy,
        may=MAY,
        limits=_limits(held.policy),
        document=_yaml(held.policy.document()),
        wanted=[_wanted(proposal, held, logins) for proposal in found[: -SHOWN - 1 : -1]],
    )


def _wanted(proposal: Proposal, held: InForce, logins: Logins) -> Wanted:
    over = closed(proposal, held)
    before, after = _yaml(held.policy.document()), _yaml(proposal.document)
    votes = [
        isinstance(judge_vote(caller(), proposal, held, logins, reject=reject), Allowed) for reject in (False, True)
    ]
    approved = caller() in {vote.by for vote in proposal.approvals}
    return Wanted(
        proposal=proposal,
        change=None if over else file_change("policy.yaml", before.encode(), after.encode()),
        lacking=lacking(proposal, held, logins),
        closed=over,
        may_approve=over is None and votes[0] and not approved,
        may_reject=over is None and votes[1],
    )


def _limits(policy: Policy) -> dict[str, str]:
    """Return the limits that are set, in words."""
    found = policy.gates.limits.model_dump(mode="json")
    return {name.replace("_", " "): _written(value) for name, value in found.items() if value not in (None, {}, [])}


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _yaml(document: dict[str, Any]) -> str:
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
