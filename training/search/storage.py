"""Optuna's database, opened so that a search outlives it: a connection that breaks is made again, with patience.

Trials carry a heartbeat. Whoever asks for work first gives the trials of dead workers out again, with their parameters.
"""

import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
import sqlalchemy as sa
import structlog
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from flywheel.errors import StackError, UsageError
from training.search.plan import Heartbeat

TIMEOUT = 5  # seconds for one connection
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between tries; the longest is well below a heartbeat's grace
TABLES_LOCK = 0x0F11  # any number that nothing else on Optuna's database locks
LOGIN = 'Log in with `eval "$(flywheel env --user NAME)"`.'

SILENT = sa.text(
    "SELECT trial_id FROM trials WHERE study_id = :study AND state = 'RUNNING'"
    " AND trial_id NOT IN (SELECT trial_id FROM trial_heartbeats)"
)

_log = structlog.get_logger()


class PatientStorage(RDBStorage):
    """An RDBStorage whose connections wait for a database that went away, up to `patience` seconds."""

    def __init__(self, url: str, heartbeat: Heartbeat, patience: float) -> None:
        postgres = make_url(url).get_backend_name() == "postgresql"
        engine: dict[str, Any] = (
            {"pool_pre_ping": True, "connect_args": {"connect_timeout": TIMEOUT}} if postgres else {}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(
                url,
                engine_kwargs=engine,
                heartbeat_interval=heartbeat.interval,
                grace_period=heartbeat.grace,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
        self._patience = patience
        self._returned = 0.0
        if postgres:
            # From now on: while it is opened, a database that does not answer is a fault at once.
            sa.event.listen(self.engine, "do_connect", self._connect)

    def record_heartbeat(self, trial_id: int) -> None:
        """Give a sign of life; one that cannot be given now is left out, and the next one comes soon."""
        with suppress(StorageInternalError):
            super().record_heartbeat(trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        # Right after an outage nobody's heartbeat is fresh: the living get their time to give one.
        if self.grace_period is not None and time.monotonic() - self._returned < self.grace_period:
            return []
        self._give_first_signs(study_id)
        return super()._get_stale_trial_ids(study_id)

    def _give_first_signs(self, study_id: int) -> None:
        """Give a heartbeat to running trials that have none yet; from then on, their own worker must.

        Optuna takes a trial without any heartbeat for alive, so one whose worker died between claiming it and its first
        heartbeat would run for ever.
        """
        try:
            with self.engine.connect() as connection:
                silent = list(connection.execute(SILENT, {"study": study_id}).scalars())
        except SQLAlchemyError as fault:
            raise StorageInternalError("The running trials cannot be read.") from fault
        for trial_id in silent:
            self.record_heartbeat(trial_id)

    def _connect(self, dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        """Connect, again and again until patience ends; SQLAlchemy's event `do_connect`."""
        deadline, pause, away = time.monotonic() + self._patience, FIRST_PAUSE, False
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() + pause > deadline:
                    raise
                if not away and threading.current_thread() is threading.main_thread():
                    _log.warning("database away", waiting_seconds=self._patience)
                away = True
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if away:
                self._returned = time.monotonic()
            return connection


def open_storage(url: str, heartbeat: Heartbeat | None = None, patience: float = 300.0) -> PatientStorage:
    """Open Optuna's database and make its tables when there are none.

    Args:
        url: Of Postgres, or SQLite for one process.
        heartbeat: How dead workers are noticed.
        patience: Seconds to wait later for a database that went away.

    Raises:
        UsageError: It is no database URL.
        StackError: The database does not answer.
    """
    try:
        place = make_url(url)
    except ArgumentError as fault:
        raise UsageError(f"FLYWHEEL_OPTUNA_URL is no database URL. {LOGIN}") from fault
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the trials are shown by us
    try:
        with _alone(place):
            return PatientStorage(url, heartbeat or Heartbeat(), patience)
    except (SQLAlchemyError, ImportError, StorageInternalError) as fault:
        raise StackError(
            f"Optuna's database {shown(url)} cannot be used."
            " Start it with `flywheel up` or correct FLYWHEEL_OPTUNA_URL."
        ) from fault


def shown(url: str) -> str:
    """Return an address without its password."""
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def _alone(url: sa.URL) -> Iterator[None]:
    # Two first trainings at once would both create Optuna's tables, and one would fail.
    if url.get_backend_name() != "postgresql":
        yield
        return
    engine = sa.create_engine(url, connect_args={"connect_timeout": TIMEOUT}, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(TABLES_LOCK)))
        yield
