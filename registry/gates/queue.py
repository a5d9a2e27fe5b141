"""The queue of versions that wait for gates: new ones, and those that somebody asked to be measured again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from flywheel.errors import TransientError
from registry.gates.job import PolicyOf, Subject, measure_version
from registry.gates.measuring import Bounds
from registry.policy.in_force import in_force

TRIES = 5  # of a version whose files the store does not give

# Newest questions first. What has been answered is known by the last evidence of its job (`remaining` 0): one look at
# an index a version, and none for versions whose questions are older than `since`.
WAITING = """
SELECT v.name, v.version, v.storage_location, a.seq
FROM (SELECT subject, max(seq) AS seq FROM flywheel.events
      WHERE kind IN ('version.created', 'gates.requested') AND seq > :since GROUP BY subject) a
JOIN model_versions v ON v.name = regexp_replace(a.subject, '/[^/]*$', '')
     AND v.version = substring(a.subject from '[0-9]+$')::integer
WHERE v.current_stage <> 'Deleted_Internal' AND NOT EXISTS (
    SELECT 1 FROM flywheel.events e WHERE e.subject = a.subject AND e.kind = 'gate.measured' AND e.seq > a.seq
    AND (e.body::jsonb ->> 'remaining')::int = 0 AND (e.body::jsonb ->> 'asked')::bigint >= a.seq)
ORDER BY a.seq DESC
"""


@dataclass(frozen=True)
class Entry:
    """A version in the queue; `seq` is the newest question about it."""

    subject: Subject
    seq: int


def queued(connection: sa.Connection, since: int = 0) -> list[Entry]:
    """Return the versions that wait because of questions after event `since`, the newest question first."""
    rows = connection.execute(sa.text(WAITING), {"since": since})
    return [Entry(Subject(name, str(version), location or ""), seq) for name, version, location, seq in rows]


class GateJob:
    """Runs the gates of whatever waits, one version after the other; `registry.service` repeats it.

    Args:
        engine: On the database of MLflow and the audit trail, as the role that may append events.
        policy_of: Reads the policy in force.
        stopping: Asked between two versions.
        bounds: Of one measurement.
    """

    name = "gates"
    seconds = 2.0

    def __init__(
        self,
        engine: sa.Engine,
        policy_of: PolicyOf = lambda connection: in_force(connection).policy,
        stopping: Callable[[], bool] = lambda: False,
        bounds: Bounds = Bounds(),  # noqa: B008  # frozen
    ) -> None:
        self._engine, self._policy_of, self._stopping, self._bounds = engine, policy_of, stopping, bounds
        self._since = 0  # questions up to here have been dealt with by this process
        self._dealt: set[Entry] = set()
        self._tries: Counter[Entry] = Counter()

    def run(self) -> None:
        """Measure everything that waits, the newest question first; one that comes meanwhile is next.

        Raises:
            TransientError: The artifact store did not give some version's files; the others were measured.
        """
        faults: list[TransientError] = []
        with self._engine.connect() as connection:
            entries = queued(connection, self._since)
        newest = max((entry.seq for entry in entries), default=self._since)
        pending = [entry for entry in entries if entry not in self._dealt]
        while pending and not self._stopping():
            self._deal(pending.pop(0), faults)
            with self._engine.connect() as connection:
                later = queued(connection, newest)
            newest = max((entry.seq for entry in later), default=newest)
            pending = later + pending
        if faults:
            raise faults[0]
        if not pending:
            self._since = newest
            self._dealt.clear()

    def _deal(self, entry: Entry, faults: list[TransientError]) -> None:
        self._tries[entry] += 1
        patient = self._tries[entry] < TRIES
        try:
            measure_version(self._engine, entry.subject, self._policy_of, self._bounds, patient=patient)
        except TransientError as fault:
            faults.append(fault)
            return
        self._dealt.add(entry)
        del self._tries[entry]
