"""A look where nothing has changed since the last: what that one found is told again, and people are reminded.

It imports nothing that reads rows, so it takes a fraction of a look.
"""

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from flywheel.alerts import Alert
from flywheel.database import open_database
from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.usecase import UseCase
from monitoring.alerts.desk import Desk
from monitoring.look.kept import Kept, holds, last_seq, made_of, path_of, read_kept
from monitoring.reports.metrics import publish


def unchanged(
    settings: Settings, file: Path, use_case: UseCase, *, since: datetime | None, as_of: datetime, decides: bool
) -> tuple[Kept, list[Alert]] | None:
    """Return the last look with the alerts that are open now; None where another look may find something else.

    Args:
        settings: Whose home.
        file: The use case's usecase.yaml.
        use_case: What it says.
        since: From when on windows are due, as asked for.
        as_of: Nothing known later is used (naive UTC).
        decides: Whether a training may be decided on.

    Raises:
        StackError: The stack has not been started, or its database does not answer.
    """
    kept = read_kept(path_of(settings.root, use_case.name))
    if kept is None or not holds(kept, as_of=as_of, since=since, decides=decides):
        return None
    if made_of(settings.root, use_case.name, file) != kept.made_of:
        return None
    try:
        with open_database(settings, "monitoring") as engine:
            with engine.connect() as connection:
                if last_seq(connection, use_case.name) != kept.seq:
                    return None
            # Nothing was examined, so every alert stays as it is; what is open for long is told again.
            board = Desk(engine).report(use_case.name, [], examined=(), policy=use_case.monitor.alerts)
    except sa.exc.SQLAlchemyError as fault:
        what = str(fault).splitlines()[0]
        raise StackError(f"The database of the events fails: {what}. See `flywheel status`.") from fault
    alerts = board.of(use_case.name)
    publish(settings.root, use_case.name, at=datetime.now(UTC), figures={}, alerts=alerts)
    return kept, alerts
