"""Engines on the stack's database, one a role; nothing of them is left when the block ends."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.settings import Settings

# A server that has gone without a word, as behind a cut cable, is given up after seconds, not after the quarter of an
# hour that TCP would wait: a controller has traffic to send back meanwhile. One that computes for long is waited for.
PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


@contextmanager
def open_database(settings: Settings, role: str) -> Iterator[sa.Engine]:
    """Yield an engine that logs in as `role`: a key of `Secrets.databases`. It connects at its first use.

    Raises:
        StackError: Nothing has been started in this home.
    """
    engine = sa.create_engine(secrets(settings).databases[role], connect_args=PATIENCE)
    try:
        yield engine
    finally:
        engine.dispose()
