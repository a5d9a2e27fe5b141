"""The policy in force: the newest one that the audit trail says was adopted. The first comes from the server's file."""

import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

import sqlalchemy as sa
import structlog

from flywheel import events
from flywheel.errors import IntegrityError, SpecError
from flywheel.events import EVENTS, Event, EventKind
from flywheel.identities import ADMIN
from flywheel.policy import Policy, load_policy

log = structlog.get_logger()
# No model's name may hold a colon, so these subjects are nobody's.
SUBJECT = "policy:{number}"
FRESH = 1.0  # seconds for which reads that decide nothing may use what was read


@dataclass(frozen=True)
class InForce:
    """One adopted policy.

    Args:
        number: 1 for the first, and so on.
        digest: Of its document.
        policy: What it says.
        at: When it was adopted, UTC.
        by: Who adopted it: the last approver, or the administrator for the first.
        seq: Of its event.
    """

    number: int
    digest: str
    policy: Policy
    at: datetime
    by: str
    seq: int


def in_force(connection: sa.Connection) -> InForce:
    """Read the policy in force.

    Raises:
        IntegrityError: The trail has none: no server with a policy file was ever started on it.
    """
    newest = _newest(connection)
    if newest is None:
        raise IntegrityError("The server has no policy: set FLYWHEEL_POLICY to a policy.yaml and start it again.")
    return newest


def adopt_first(connection: sa.Connection) -> None:
    """Adopt the policy of the file that FLYWHEEL_POLICY names where the trail has none; else compare the two.

    Call it in a transaction that holds off other starts. A file that says something else than the policy in force is
    warned of and changes nothing: a change is proposed and approved.

    Raises:
        SpecError: The first policy is wrong.
    """
    named, held = os.environ.get("FLYWHEEL_POLICY"), _newest(connection)
    if held is None and named:
        _adopt_file(connection, Path(named))
    elif held is not None and named:
        _compare(Path(named), held)


def _adopt_file(connection: sa.Connection, path: Path) -> None:
    policy = load_policy(path)
    adopted = adoption(1, policy, f"the first, from {path.name}")
    events.append(connection, EventKind.POLICY_ADOPTED, SUBJECT.format(number=1), ADMIN, adopted)


def adoption(number: int, policy: Policy, reason: str) -> dict[str, object]:
    """Return the body of `policy.adopted`."""
    return {"number": number, "digest": policy.digest, "document": policy.document(), "reason": reason}


def _compare(path: Path, held: InForce) -> None:
    try:
        same = load_policy(path) == held.policy  # a section that came later has its defaults in both
    except SpecError as fault:
        log.warning("policy file is wrong; the adopted policy stays in force", file=str(path), reason=str(fault))
        return
    if not same:
        log.warning(
            "policy file says something else than the policy in force; propose it: flywheel policy propose FILE",
            file=str(path),
            in_force=held.number,
        )


class CachedPolicy:
    """The policy in force for reads that decide nothing, at most a second old. Threads share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._engine: sa.Engine | None = None
        self._held: tuple[float, InForce] | None = None

    def use(self, engine: sa.Engine) -> None:
        """Read from the trail that the engine reaches: the gate store's, when it opens."""
        with self._lock:
            self._engine, self._held = engine, None

    def read(self) -> InForce:
        """Return what is in force.

        Raises:
            IntegrityError: The trail has none, or no gate store was opened.
        """
        now = time.monotonic()
        with self._lock:
            engine, held = self._engine, self._held
        if held is not None and now - held[0] < FRESH:
            return held[1]
        if engine is None:
            raise IntegrityError("The server runs without the registry's gate: set its registry store to flywheel+….")
        with engine.connect() as connection:
            found = in_force(connection)
        with self._lock:
            self._held = (now, found)
        return found


_parsed: dict[str, InForce] = {}  # by the event's hash: parsing takes a millisecond, and transitions wait for it


def _newest(connection: sa.Connection) -> InForce | None:
    adopted = EVENTS.c.kind == str(EventKind.POLICY_ADOPTED)
    last = sa.select(EVENTS.c.hash).where(adopted).order_by(EVENTS.c.seq.desc()).limit(1)
    digest = connection.scalar(last)
    if digest is None:
        return None
    if digest not in _parsed:
        _parsed[digest] = _in_force(events.read(connection, EventKind.POLICY_ADOPTED)[-1])
    return _parsed[digest]


def _in_force(event: Event) -> InForce:
    body = event.body
    policy = Policy.model_validate(body["document"])
    return InForce(body["number"], body["digest"], policy, event.at, event.actor, event.seq)
