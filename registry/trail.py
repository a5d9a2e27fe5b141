"""The database of MLflow and the audit trail, for processes beside the server: as the server's own role."""

import os

import sqlalchemy as sa

from flywheel.errors import UsageError

BACKEND = "MLFLOW_BACKEND_STORE_URI"


def open_trail(name: str) -> sa.Engine:
    """Return an engine on the database that MLFLOW_BACKEND_STORE_URI names; `name` shows in Postgres.

    Raises:
        UsageError: The variable is not set.
    """
    url = os.environ.get(BACKEND)
    if not url:
        raise UsageError(f"The registry has no database: set {BACKEND} to the address that MLflow has.")
    known = {"connect_timeout": 5, "application_name": name}
    return sa.create_engine(
        url.removeprefix("flywheel+"), connect_args=known, pool_pre_ping=True, executemany_mode="values_plus_batch"
    )
