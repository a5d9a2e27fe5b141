"""The chain check: reads the whole audit trail again from time to time, since the watch reads each event once."""

import sqlalchemy as sa

from flywheel import events
from flywheel.errors import IntegrityError, TransientError
from registry.guard.alert import is_raised, raise_alert


class ChainCheck:
    """A job of the registry's process; reads with little memory, in one snapshot.

    Args:
        engine: The database as the server's role.
    """

    name = "chain"
    seconds = 600.0

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def run(self) -> None:
        """Verify the chain; alert once when it is broken.

        Raises:
            IntegrityError: It is.
            TransientError: Postgres does not answer.
        """
        try:
            with self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
                events.verify(events.stream(connection), events.read_head(connection))
        except IntegrityError as fault:
            self._alert(str(fault))
            raise
        except sa.exc.DBAPIError as fault:
            raise TransientError(f"The chain cannot be read: {str(fault).splitlines()[0]}") from fault

    def _alert(self, sentence: str) -> None:
        with self._engine.begin() as connection:
            if not is_raised(connection, "chain.altered", sentence):
                raise_alert(connection, "chain.altered", sentence)
