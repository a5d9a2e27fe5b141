"""One transaction over several calls of MLflow's store: sessions that join the one already open in this request."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from sqlalchemy.orm import Session

SessionMaker = Callable[..., AbstractContextManager[Session]]


class JoiningSessions:
    """Stands in for MLflow's `ManagedSessionMaker`.

    Outside of `transaction` it opens sessions as MLflow does. Inside, every session is the transaction's own: it is
    flushed where MLflow would commit, and committed once, at the end. Any exception rolls all of it back.
    """

    def __init__(self, maker: SessionMaker) -> None:
        self._maker = maker
        self._open: ContextVar[Session | None] = ContextVar("open_session", default=None)

    @contextmanager
    def __call__(self, read_only: bool = True) -> Iterator[Session]:
        """Open a session, or join the one of this request's transaction."""
        joined = self._open.get()
        if joined is None:
            with self._maker(read_only=read_only) as session:
                yield session
            return
        yield joined
        joined.flush()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open the transaction that everything in the block joins."""
        with self._maker(read_only=False) as session:
            token = self._open.set(session)
            try:
                yield session
            finally:
                self._open.reset(token)
