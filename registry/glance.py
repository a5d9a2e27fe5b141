"""One short read of a database, below SQLAlchemy's sessions and outside of any transaction: what every request asks.

It takes a third of the time of a read through a session (0.2 ms against 0.7), of which the greatest part are a check
whether the connection is alive, BEGIN and ROLLBACK. Instead a read whose connection died is made again on a new one.
"""

import threading
import weakref
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psycopg2
import sqlalchemy as sa

Rows = list[tuple[Any, ...]]
CONNECTIONS = 5  # a read holds one for a fraction of a millisecond; more readers than that wait

_lock = threading.Lock()
_quick: "weakref.WeakKeyDictionary[sa.Engine, sa.Engine]" = weakref.WeakKeyDictionary()


def glance(engine: sa.Engine, query: str, values: Mapping[str, Any] | None = None) -> Rows:
    """Return a query's rows as they are now.

    Args:
        engine: On the database; connections of its own are opened for glances.
        query: SQL with psycopg2's placeholders.
        values: For the placeholders.

    Raises:
        psycopg2.Error: The query is wrong, or Postgres does not answer.
    """
    quick = _quick_engine(engine)
    try:
        return _read(quick, query, values)
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        quick.dispose()  # the others have died with it, most likely
        return _read(quick, query, values)


def _read(engine: sa.Engine, query: str, values: Mapping[str, Any] | None) -> Rows:
    pooled = engine.raw_connection()
    try:
        with closing(pooled.cursor()) as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())
    except BaseException:
        pooled.invalidate()
        raise
    finally:
        pooled.close()


def _quick_engine(engine: sa.Engine) -> sa.Engine:
    with _lock:
        quick = _quick.get(engine)
        if quick is None:
            quick = _quick[engine] = sa.create_engine(
                engine.url,
                isolation_level="AUTOCOMMIT",
                pool_size=CONNECTIONS,
                max_overflow=0,
                pool_reset_on_return=None,
            )
        return quick
