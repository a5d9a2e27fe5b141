"""Engines on the stack's database, one a role; nothing of them is left when the block ends."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.settings import Settings


@contextmanager
def open_database(settings: Settings, role: str) -> Iterator[sa.Engine]:
    """Yield an engine that logs in as `role`: a key of `Secrets.databases`. It connects at its first use.

    Raises:
        StackError: Nothing has been started in this home.
    """
    engine = sa.create_engine(secrets(settings).databases[role])
    try:
        yield engine
    finally:
        engine.dispose()
