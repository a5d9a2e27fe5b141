"""Engines on the stack's database, one a role; nothing of them is left when the block ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from flywheel.answering import AnsweringConnection
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


# The server gives up before the client does, and says why: a lock that somebody holds, or a statement that is stuck.
# What is left of a client that vanished ends within half a minute, and its locks with it.
SERVER_PATIENCE = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
SERVER_SHARE, LOCK_SHARE = 0.75, 0.5


@contextmanager
def open_database(settings: Settings, role: str, *, most_seconds: float | None = None) -> Iterator[sa.Engine]:
    """Yield an engine that logs in as `role`: a key of `Secrets.databases`. It connects at its first use.

    Args:
        settings: Whose home.
        role: Who logs in.
        most_seconds: Within which each statement has its answer; else the connection is lost. None: as long as it
            takes, while the server lives.

    Raises:
        StackError: Nothing has been started in this home.
    """
    limits = answers_within(most_seconds) if most_seconds is not None else {}
    engine = sa.create_engine(secrets(settings).databases[role], connect_args={**PATIENCE, **limits})
    try:
        yield engine
    finally:
        engine.dispose()


def answers_within(seconds: float) -> dict[str, Any]:
    """Return the arguments of a connection on which no statement takes longer."""
    timeouts = {"statement_timeout": SERVER_SHARE * seconds * 1000, "lock_timeout": LOCK_SHARE * seconds * 1000}
    options = " ".join(f"-c {name}={value:.0f}" for name, value in {**SERVER_PATIENCE, **timeouts}.items())
    return {"options": options, "connection_factory": partial(AnsweringConnection, most_seconds=seconds)}
