"""A connection to Postgres that waits for no answer longer than it was told, whatever has become of the server.

The kernel of a server that stands still goes on confirming what is sent to it, so that TCP's own limits never end the
wait, and the server's time limits stand still with it. So the client shuts its own end: libpq then fails as it does
when a server dies.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import psycopg2
from psycopg2 import extensions


class AnsweringConnection(extensions.connection):
    """A connection that is lost as soon as one statement, commit or rollback takes longer than `most_seconds`."""

    def __init__(self, dsn: str, *args: Any, most_seconds: float) -> None:
        super().__init__(dsn, *args)
        self._most_seconds = most_seconds
        self.cursor_factory = AnsweringCursor

    def commit(self) -> None:
        """Commit; whether that came to pass is not known where it took too long."""
        with self.in_time():
            super().commit()

    def rollback(self) -> None:
        """Roll back."""
        with self.in_time():
            super().rollback()

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """End what runs inside once it takes too long: it then raises an OperationalError."""
        timer = threading.Timer(self._most_seconds, self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _shut(self) -> None:
        # Of a copy: the descriptor itself is libpq's to close.
        with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(self.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)


class AnsweringCursor(extensions.cursor):
    """A cursor of such a connection."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  # as its base names it
        """Execute one statement."""
        with cast("AnsweringConnection", self.connection).in_time():
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Execute a statement for each of these parameters."""
        with cast("AnsweringConnection", self.connection).in_time():
            super().executemany(query, vars_list)
