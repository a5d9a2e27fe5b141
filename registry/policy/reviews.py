"""Reviews: what people said of one version's bytes, as events that name their digest."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flywheel.errors import UsageError
from flywheel.events import Event, EventKind

KINDS = {
    "comment": EventKind.REVIEW_COMMENTED,
    "approve": EventKind.REVIEW_APPROVED,
    "reject": EventKind.REVIEW_REJECTED,
    "request_changes": EventKind.REVIEW_CHANGES_REQUESTED,
    "withdraw": EventKind.REVIEW_WITHDRAWN,
}
DECISIONS = {kind: decision for decision, kind in KINDS.items()}
BLOCKING = frozenset({EventKind.REVIEW_REJECTED, EventKind.REVIEW_CHANGES_REQUESTED})
NEEDS_COMMENT = frozenset({"reject", "request_changes", "comment"})
TAG_FORMS = "approve, reject: REASON, request changes: WHAT, comment: TEXT or withdraw"


@dataclass(frozen=True)
class Review:
    """What somebody said; `digest` is '' where the version's bytes could not be read."""

    kind: EventKind
    reviewer: str
    comment: str
    digest: str
    at: datetime
    seq: int


def read_reviews(events: Iterable[Event], subject: str) -> list[Review]:
    """Return all reviews of a version (`model/version`), oldest first, comments included.

    What was said of a version that was deleted since, and whose number was given anew, is left out.
    """
    found: list[Review] = []
    for event in events:
        if event.subject != subject:
            continue
        if event.kind == EventKind.VERSION_CREATED:
            found.clear()
        elif event.kind in DECISIONS:
            comment, digest = str(event.body.get("comment", "")), str(event.body.get("digest") or "")
            found.append(Review(event.kind, event.actor, comment, digest, event.at, event.seq))
    return found


def decisions(reviews: Iterable[Review]) -> dict[str, Review]:
    """Return each reviewer's decision that still stands: the last one, comments aside, unless it was withdrawn."""
    last = {review.reviewer: review for review in reviews if review.kind != EventKind.REVIEW_COMMENTED}
    return {name: review for name, review in last.items() if review.kind != EventKind.REVIEW_WITHDRAWN}


def check_review(decision: str, comment: str) -> None:
    """Check what somebody wants to say.

    Raises:
        UsageError: There is no such decision, or it needs a comment.
    """
    if decision not in KINDS:
        raise UsageError(f"Decision '{decision}' is not known. Choose one of: {', '.join(KINDS)}.")
    if decision in NEEDS_COMMENT and not comment.strip():
        raise UsageError(f"Decision '{decision}' needs a comment. Say what is wrong, or what you want to say.")


def parse_tag(value: str) -> tuple[str, str]:
    """Read the value of the tag `review`, as people write it in MLflow's page: a decision and its comment.

    Raises:
        UsageError: It says no decision, or lacks the comment that one needs.
    """
    spoken, _, comment = value.partition(":")
    decision = re.sub(r"[\s_-]+", "_", spoken.strip().lower())
    if decision not in KINDS:
        raise UsageError(f"Tag 'review' cannot be '{value[:80]}'. Write one of: {TAG_FORMS}.")
    check_review(decision, comment)
    return decision, comment.strip()
