"""Gathers the facts of one version from the audit trail: few events, found by subject, however long the trail is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from flywheel.events import EVENTS, Event, EventKind, from_row
from flywheel.policy import Policy
from flywheel.rollbacks import failure
from registry.access.accounts import read_logins
from registry.gates.evidence import read_evidence
from registry.policy.facts import Facts
from registry.policy.origin import Origin, contributors, not_a_patch, origin_of
from registry.policy.reviews import read_reviews
from registry.policy.rules import PRODUCTION, Measured


@dataclass(frozen=True)
class Told:
    """What the trail says of one version since it was registered; a number that was given anew starts anew.

    Args:
        subject: `model/version`.
        history: All events, oldest first.
        created: Its registration; None before this release.
    """

    subject: str
    history: tuple[Event, ...]
    created: Event | None

    @property
    def origin(self) -> Origin:
        """Where its code and data come from, as its registration recorded it."""
        return origin_of(self.created.body if self.created else {})

    @property
    def makers(self) -> set[str]:
        """Who made it, as far as the server saw: its author, and whose logins logged its bytes."""
        body = self.created.body if self.created else {}
        named = [body.get("author"), body.get("run_user"), *body.get("makers", ())]  # run_user: an earlier release
        return {str(user) for user in named if user}

    @property
    def digest(self) -> str | None:
        """Of its bytes when it was registered."""
        return self.created.body.get("digest") if self.created else None

    @property
    def listing(self) -> str | None:
        """The store's listing of its folder when it was registered, as `registry.doors.fingerprint` gives it."""
        return self.created.body.get("listing") if self.created else None

    @property
    def approved(self) -> str | None:
        """Digest of the bytes that were last moved to Production; None when none ever were."""
        moves = [event.body for event in self.history if event.kind == EventKind.TRANSITION]
        digests = [body.get("digest") for body in moves if body.get("to") == PRODUCTION and body.get("digest")]
        return str(digests[-1]) if digests else None


def told(
    connection: sa.Connection, model: str, version: str, *, before: int | None = None, kind: EventKind | None = None
) -> Told:
    """Read what the trail says of a version, also of the time when its model had another name.

    Args:
        connection: To the trail.
        model: Its model.
        version: Its number.
        before: An event's number: only what came before it is read.
        kind: Events of this kind alone are read: VERSION_CREATED for what was said of it at its registration.
    """
    subject = f"{model}/{version}"
    found = _read(connection, model, subject, before, kind)
    begins = [place for place, event in enumerate(found) if _begins(event, model)]
    history = tuple(event for event in found[begins[-1] if begins else 0 :] if event.subject == subject)
    first = found[begins[-1]] if begins else None
    if first is None or first.kind == EventKind.VERSION_CREATED:
        return Told(subject, history, first)
    older = told(connection, str(first.body["from"]), version, before=first.seq, kind=kind)
    carried = [replace(event, subject=subject, body=_renamed(event)) for event in older.history]
    created = next((event for event in carried if event.kind == EventKind.VERSION_CREATED), None)
    return Told(subject, (*carried, *history), created)


def _read(
    connection: sa.Connection, model: str, subject: str, before: int | None, kind: EventKind | None
) -> list[Event]:
    renamed = sa.and_(EVENTS.c.subject == model, EVENTS.c.kind == str(EventKind.MODEL_RENAMED))
    about = EVENTS.c.subject == subject
    if kind is not None:
        about = sa.and_(about, EVENTS.c.kind == str(kind))
    query = sa.select(*EVENTS.columns).where(sa.or_(about, renamed)).order_by(EVENTS.c.seq)
    if before is not None:
        query = query.where(EVENTS.c.seq < before)
    return [from_row(row) for row in connection.execute(query).mappings()]


def _begins(event: Event, model: str) -> bool:
    """Return whether what was known under this name before an event is about something else."""
    renamed = event.kind == EventKind.MODEL_RENAMED and event.body.get("to") == model
    return renamed or event.kind == EventKind.VERSION_CREATED


def _renamed(event: Event) -> Mapping[str, Any]:
    # The digest covers the model's name, so that one that was taken under another says nothing now; nor does approval
    # under the policy for that name.
    said = event.kind in {EventKind.VERSION_CREATED, EventKind.TRANSITION}
    return {**event.body, "digest": None, "listing": None} if said else event.body


@dataclass(frozen=True)
class Asked:
    """The version that facts are asked of: as the registry has it, and what was measured of its bytes, if anything."""

    model: str
    version: str
    author: str | None
    champion: str | None = None
    measured: Measured | None = None


def gather(connection: sa.Connection, asked: Asked, policy: Policy, at: datetime) -> Facts:
    """Return the facts of a version; without a measurement, those of the bytes that were registered."""
    mine = told(connection, asked.model, asked.version)
    measured = asked.measured
    origin = measured.origin if measured and measured.digest else mine.origin
    digest = measured.digest if measured else mine.digest
    fault = (measured.fault if measured else mine.created.body.get("fault") if mine.created else None) or Facts.fault
    champion = told(connection, asked.model, asked.champion) if asked.champion else None
    makers, parent = mine.makers - {asked.author}, _approved_parent(connection, asked.model, origin)
    return Facts(
        model=asked.model,
        version=asked.version,
        author=asked.author,
        digest=digest,
        fault=fault,
        reviews=tuple(read_reviews(mine.history, mine.subject)),
        evidence=read_evidence(mine.history, mine.subject),
        contributors=contributors(origin, makers, parent, policy),
        failure=failure(mine.history, mine.subject),
        champion=champion.approved if champion else None,
        patch=not_a_patch(asked.author, origin, champion.origin if champion and champion.approved else None),
        gates=origin.gates,
        approved=mine.approved,
        logins=read_logins(connection, policy.allowed(*policy.may.review, *policy.may.override)),
        at=at,
    )


def _approved_parent(connection: sa.Connection, model: str, origin: Origin) -> Origin | None:
    if origin.parent is None or origin.since is None:
        return None
    parent = told(connection, model, origin.parent)
    return parent.origin if parent.approved else None
