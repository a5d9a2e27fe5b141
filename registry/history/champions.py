"""Who was champion when, by whose decision: a pure fold of a model's events.

The champion is where the alias `champion` points, which the controller moves. A registry without a controller has no
such alias: there it is the newest version in Production.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flywheel.events import Event, EventKind

PRODUCTION = "Production"


@dataclass(frozen=True)
class Move:
    """An alias or a version moved: `version` is the one it points at (None: removed), `to` the version's new stage."""

    seq: int
    at: datetime
    version: str | None
    to: str = ""


@dataclass(frozen=True)
class Decision:
    """A transition to Production: who decided, when, and whether it was a rollback, with its reason."""

    by: str
    at: datetime
    seq: int
    digest: str | None
    rollback: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Reign:
    """A stretch of time in which one version was champion; `decision` put it into Production."""

    version: str
    since: datetime
    until: datetime | None
    seq: int
    decision: Decision | None = None


def by_alias(moves: Iterable[Move]) -> list[Reign]:
    """Fold the moves of an alias, oldest first, into reigns, oldest first; the last ends where it was removed."""
    found: list[Reign] = []
    for move in moves:
        if found and found[-1].until is None:
            if found[-1].version == move.version:
                continue
            found[-1] = _ended(found[-1], move.at)
        if move.version is not None:
            found.append(Reign(move.version, move.at, None, move.seq))
    return found


def by_production(moves: Iterable[Move]) -> list[Reign]:
    """Fold transitions, oldest first, into reigns of the newest version (by number) in Production."""
    found: list[Reign] = []
    there: set[str] = set()
    for move in moves:
        version = str(move.version)
        there = there | {version} if move.to == PRODUCTION else there - {version}
        newest = max(there, key=_number, default=None)
        reigning = found[-1].version if found and found[-1].until is None else None
        if newest == reigning:
            continue
        if reigning is not None:
            found[-1] = _ended(found[-1], move.at)
        if newest is not None:
            found.append(Reign(newest, move.at, None, move.seq))
    return found


def decided(reign: Reign, transitions: Iterable[Event]) -> Reign:
    """Return a reign with the decision behind it: the version's last transition to Production before its reign.

    `transitions` are those of the version, oldest first.
    """
    before = [decision for decision in decisions(transitions) if decision.seq <= reign.seq]
    return Reign(reign.version, reign.since, reign.until, reign.seq, before[-1] if before else None)


def decisions(transitions: Iterable[Event]) -> list[Decision]:
    """Return a version's transitions to Production as decisions, oldest first."""
    return [
        Decision(
            by=move.actor,
            at=move.at,
            seq=move.seq,
            digest=move.body.get("digest"),
            rollback=move.body.get("rollback") is True,
            reason=str(move.body.get("reason") or ""),
        )
        for move in transitions
        if move.kind == EventKind.TRANSITION and move.body.get("to") == PRODUCTION
    ]


@dataclass(frozen=True)
class Good:
    """A former champion that people can go back to, pinned to the digest that was approved."""

    version: str
    digest: str


@dataclass(frozen=True)
class Unfit:
    """Why a version cannot be gone back to: the end of a sentence that names it."""

    version: str
    reason: str


Judge = Callable[[str], Good | Unfit]


def last_good(reigns: Sequence[Reign], present: str | None, judge: Judge) -> Good | list[Unfit]:
    """Return the last champion before the present one that people can go back to.

    Args:
        reigns: Oldest first.
        present: The champion that is to be left; None when there is none.
        judge: Says of a version whether it can be gone back to.

    Returns:
        It, or why each former champion cannot; an empty list when there is no former one.
    """
    seen, unfit = {present}, []
    for reign in reversed(reigns):
        if reign.version in seen:
            continue
        seen.add(reign.version)
        found = judge(reign.version)
        if isinstance(found, Good):
            return found
        unfit.append(found)
    return unfit


def _ended(reign: Reign, at: datetime) -> Reign:
    return Reign(reign.version, reign.since, at, reign.seq, reign.decision)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
