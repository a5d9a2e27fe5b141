"""What the audit trail says of one version: its own events, and the newest of its model's.

Read by exact subjects, which have an index: a model with 10,000 versions has events that its newest version's page
must not pay for.
"""

import json

import sqlalchemy as sa

from flywheel.events import EVENTS, Event, EventKind

OF_MODEL = 50  # events whose subject is the model itself, newest
OF_VERSION = 2000  # far beyond what people and gates say of one version
# Monitoring writes one of each a window or a look, and the page is not about traffic.
LEFT_OUT = (str(EventKind.MONITOR_WINDOW), str(EventKind.MONITOR_RECALIBRATED), str(EventKind.RETRAIN_DECIDED))


def read_trail(connection: sa.Connection, name: str, version: str) -> list[Event]:
    """Return a version's events and its model's newest, oldest first."""
    found = [*_newest(connection, f"{name}/{version}", OF_VERSION), *_newest(connection, name, OF_MODEL)]
    return sorted(found, key=lambda event: event.seq)


def _newest(connection: sa.Connection, subject: str, limit: int) -> list[Event]:
    query = (
        sa.select(*(column for column in EVENTS.columns))
        .where(EVENTS.c.subject == subject, EVENTS.c.kind.not_in(LEFT_OUT))
        .order_by(EVENTS.c.seq.desc())
        .limit(limit)
    )
    return [_event(row) for row in connection.execute(query).mappings()]


def _event(row: sa.RowMapping) -> Event:
    kind = EventKind(row["kind"]) if row["kind"] in set(EventKind) else row["kind"]
    body = json.loads(row["body"])
    return Event(row["seq"], kind, row["subject"], row["actor"], row["at"], body, row["previous"], row["hash"])
