"""Where findings become events: one transaction a look, under the chain's lock, so two looks tell nothing twice."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from flywheel.alerts import Board, Finding, fold, read_board
from flywheel.events import append, lock_head
from flywheel.identities import MONITORING
from flywheel.monitor_spec import Alerts
from monitoring.alerts.look import changes, notice


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Desk:
    """Records what looks have found.

    Args:
        engine: Of the database with the events, as monitoring.
        clock: Gives the time (UTC).
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._clock = clock

    def report(self, use_case: str, findings: Sequence[Finding], *, examined: Collection[str], policy: Alerts) -> Board:
        """Record a look, and tell people of what is new; return the state after it.

        Args:
            use_case: That was looked at.
            findings: What was found.
            examined: The kinds that this look could have found; what it did not find of these goes quiet.
            policy: Of the use case.
        """
        with self._engine.begin() as connection:
            lock_head(connection)
            before = read_board(connection, use_case)
            now = self._clock()
            made = changes(before, use_case, findings, examined=examined, policy=policy)
            written = [append(connection, one.kind, use_case, MONITORING, one.body, at=now) for one in made]
            after = fold(written, before)
            told = notice(before, after, use_case, now=now, policy=policy)
            if told is None:
                return after
            return fold([append(connection, told.kind, use_case, MONITORING, told.body, at=now)], after)
