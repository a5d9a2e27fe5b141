"""Reviews: what people said of one version's bytes, as events that name their digest."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flywheel.events import Event, EventKind

KINDS = {
    "comment": EventKind.REVIEW_COMMENTED,
    "approve": EventKind.REVIEW_APPROVED,
    "reject": EventKind.REVIEW_REJECTED,
    "request_changes": EventKind.REVIEW_CHANGES_REQUESTED,
    "withdraw": EventKind.REVIEW_WITHDRAWN,
}


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
    """Return all reviews of a version (`model/version`), oldest first, comments included."""
    kinds = set(KINDS.values())
    return [
        Review(
            event.kind,
            event.actor,
            str(event.body.get("comment", "")),
            str(event.body.get("digest") or ""),
            event.at,
            event.seq,
        )
        for event in events
        if event.kind in kinds and event.subject == subject
    ]
