"""Alerts: what somebody must look at, as events in the transaction of whoever noticed; a webhook on them is a pager."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
import structlog

from flywheel import events
from flywheel.events import Event, EventKind
from flywheel.identities import GATES

log = structlog.get_logger()

REGISTRY = "registry"  # the subject of an alert that is about no model


def raise_alert(
    connection: sa.Connection,
    what: str,
    sentence: str,
    body: Mapping[str, Any] | None = None,
    *,
    subject: str = REGISTRY,
    actor: str = GATES,
) -> Event:
    """Append an `alert` in the caller's transaction, and log it at warning.

    Args:
        connection: The transaction that the alert belongs to: it is raised when that commits.
        what: The kind of trouble in one or two words, as `pointer.moved`; receivers filter by it.
        sentence: What happened and what to do, for a person.
        body: More for machines; plain JSON.
        subject: `<model>/<version>`, `<model>`, or `registry`.
        actor: Who noticed it.

    Raises:
        IntegrityError: The body is no plain JSON.
    """
    log.warning("alert", what=what, subject=subject, sentence=sentence)
    return events.append(
        connection, EventKind.ALERT, subject, actor, {**(body or {}), "what": what, "sentence": sentence}
    )


def is_raised(connection: sa.Connection, what: str, sentence: str, *, subject: str = REGISTRY) -> bool:
    """Return whether the very same alert is on record, so that it need not be raised again."""
    found = events.read(connection, EventKind.ALERT, subject)
    return any(event.body.get("what") == what and event.body.get("sentence") == sentence for event in found)
