"""Where a version stands, from the present judge alone."""

import sqlalchemy as sa
from mlflow.entities.model_registry import ModelVersion

from flywheel.rollbacks import failure
from registry.caller import floor_policy
from registry.gates.evidence import read_evidence
from registry.policy.reviews import read_reviews
from registry.policy.rules import PRODUCTION, Allowed, Transition, judge_transition
from registry.policy.standing import Need, Standing
from registry.review.trail import read_trail
from registry.store.gate import AUTHOR_TAG, DIGEST_TAG, GateStore


def standing(store: GateStore, connection: sa.Connection, user: str, version: ModelVersion) -> Standing:
    """Judge a version for one user."""
    subject = f"{version.name}/{version.version}"
    events = read_trail(connection, version.name, str(version.version))
    author = version.tags.get(AUTHOR_TAG)
    failed = failure(events, subject)
    asked = Transition(version.name, str(version.version), author, version.current_stage, PRODUCTION, failure=failed)
    verdict = judge_transition(user, asked, floor_policy())
    allowed = isinstance(verdict, Allowed)
    sentence = "A reviewer who is not its author looks at it." if isinstance(verdict, Allowed) else verdict.reason
    need = Need("approvals", allowed, sentence)
    return Standing(
        version.tags.get(DIGEST_TAG),
        (need,),
        tuple(read_reviews(events, subject)),
        tuple(read_evidence(events, subject).values()),
        allowed,
        "" if allowed else sentence,
    )
