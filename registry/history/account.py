"""What was where at one time: the account of a model that `flywheel history` and its route give."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from flywheel import events
from flywheel.errors import UsageError
from flywheel.events import EventKind
from registry.history.champions import Decision, Reign, by_alias, by_production, decided
from registry.history.trail import (
    Span,
    StageCount,
    alias_moves,
    first_time,
    newest_seq,
    production_moves,
    spans,
    stage_counts,
)

SHOWN = 20  # versions of a stage, and champions; the rest is counted
STAGES = ("Production", "Staging", "None", "Archived", "Deleted_Internal")


@dataclass(frozen=True)
class Account:
    """What a model's versions were at a time.

    Args:
        model: Its name.
        at: The time; None for now.
        first: When its first event was recorded; None without any.
        champion: Whoever takes the traffic, with the decision behind it.
        challenger: Whoever comes.
        by_alias: Whether a controller says who is champion; else it is the newest in Production.
        stages: By stage, how many and the latest.
        champions: The last ones, newest first.
        champion_count: How many there were.
    """

    model: str
    at: datetime | None
    first: datetime | None
    champion: Reign | None = None
    challenger: Reign | None = None
    by_alias: bool = True
    stages: tuple[StageCount, ...] = ()
    champions: tuple[Reign, ...] = ()
    champion_count: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "model": self.model,
            "at": None if self.at is None else self.at.isoformat(),
            "first": None if self.first is None else self.first.isoformat(),
            "champion": _reign(self.champion),
            "challenger": _reign(self.challenger),
            "by_alias": self.by_alias,
            "stages": [_stage(one) for one in self.stages],
            "champions": [_reign(one) for one in self.champions],
            "champion_count": self.champion_count,
        }


def parse_time(text: str | None) -> datetime | None:
    """Read a time in ISO form; without a zone it is UTC.

    Raises:
        UsageError: It is none.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise UsageError(
            f"'{text}' is no time. Write it like 2026-03-01T12:00 (UTC) or 2026-03-01T12:00+02:00."
        ) from fault


def account(connection: sa.Connection, model: str, at: datetime | None, *, shown: int = SHOWN) -> Account | None:
    """Return what a model's versions were at a time (None: now); None where the trail knows no such model.

    Args:
        connection: On the trail.
        model: Its name.
        at: With a zone.
        shown: At most so many versions a stage, and champions; the rest is counted.
    """
    stretch = spans(connection, model)
    first = first_time(connection, stretch)
    if first is None:
        return None
    until = newest_seq(connection, stretch, at)
    if until == 0:
        return Account(model, at, first)
    reigns, aliased = reigns_until(connection, stretch, until)
    coming = by_alias(alias_moves(connection, stretch, "challenger", until))
    explained = [_explained(connection, stretch, reign) for reign in reversed(reigns[-shown:])]
    counted = {one.stage: one for one in stage_counts(connection, stretch, until, shown)}
    return Account(
        model=model,
        at=at,
        first=first,
        champion=explained[0] if explained and explained[0].until is None else None,
        challenger=_explained(connection, stretch, coming[-1]) if coming and coming[-1].until is None else None,
        by_alias=aliased,
        stages=tuple(counted[stage] for stage in STAGES if stage in counted),
        champions=tuple(explained),
        champion_count=len(reigns),
    )


def reigns_until(connection: sa.Connection, stretch: Sequence[Span], until: int) -> tuple[list[Reign], bool]:
    """Return a model's champions up to an event, oldest first, and whether a controller has named them."""
    moves = alias_moves(connection, stretch, "champion", until)
    if moves:
        return by_alias(moves), True
    return by_production(production_moves(connection, stretch, until)), False


def _explained(connection: sa.Connection, stretch: Sequence[Span], reign: Reign) -> Reign:
    name = next(span.name for span in stretch if span.after < reign.seq <= span.until)
    return decided(reign, events.read(connection, EventKind.TRANSITION, f"{name}/{reign.version}"))


def _reign(reign: Reign | None) -> dict[str, Any] | None:
    if reign is None:
        return None
    said = asdict(replace(reign, decision=None))
    said["since"] = reign.since.isoformat()
    said["until"] = None if reign.until is None else reign.until.isoformat()
    return {**said, "decision": _decision(reign.decision)}


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    return None if decision is None else {**asdict(decision), "at": decision.at.isoformat()}


def _stage(found: StageCount) -> dict[str, Any]:
    latest = [
        {"version": subject.rpartition("/")[2], "by": actor, "at": at.isoformat(), "seq": seq}
        for subject, actor, at, seq in found.latest
    ]
    return {"stage": found.stage, "count": found.count, "latest": latest}
