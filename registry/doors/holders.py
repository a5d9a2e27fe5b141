"""Which version holds a run, a folder or a logged model: what every write asks, so each answer is one look at an index.

An approval is a `transition` event to Production. It holds its run for good: also when its version was archived,
renamed or deleted since, because an auditor asks later. A folder is held by every version that is registered.
"""

import re
from urllib.parse import urlsplit

import sqlalchemy as sa

from registry.doors.artifacts import canonical_path

RUN_ID = re.compile(r"[0-9a-f]{32}")
ROOT = "mlflow-artifacts:/"
# A location that is spelled in the one way that comparisons use. The few others are compared one by one.
PLAIN = "'^mlflow-artifacts:(/([^/%?#\\\\.]|[^/%?#\\\\]{3,}|[^/%?#\\\\.][^/%?#\\\\]|[^/%?#\\\\][^/%?#\\\\.]))+$'"
ALIVE = "current_stage <> 'Deleted_Internal'"
ODD = f"storage_location LIKE 'mlflow-artifacts:%' AND storage_location !~ {PLAIN}"
APPROVAL = "kind = 'transition' AND (body::jsonb ->> 'to') = 'Production'"

INDEXES = {
    "flywheel.events_approved_run": f"flywheel.events ((body::jsonb ->> 'run_id')) WHERE {APPROVAL}",
    "flywheel.events_approved_location": (
        f"flywheel.events ((body::jsonb ->> 'location') text_pattern_ops) WHERE {APPROVAL}"
    ),
    "flywheel_location": "model_versions (storage_location varchar_pattern_ops)",
    "flywheel_odd_location": f"model_versions (name) WHERE {ODD}",
}

APPROVED_RUN = sa.text(
    f"SELECT subject FROM flywheel.events WHERE {APPROVAL} AND (body::jsonb ->> 'run_id') = ANY(:runs) LIMIT 1"  # noqa: S608  # constants
)
APPROVED_LOCATION = sa.text(
    f"SELECT subject FROM flywheel.events WHERE {APPROVAL} "  # noqa: S608  # constants
    "AND ((body::jsonb ->> 'location') = :folder OR (body::jsonb ->> 'location') ^@ :below) LIMIT 1"
)
HELD = sa.text(
    f"SELECT name, version FROM model_versions WHERE {ALIVE} AND storage_location = ANY(:folders) "  # noqa: S608
    f"UNION ALL SELECT name, version FROM model_versions WHERE {ALIVE} AND storage_location ^@ :below LIMIT 1"
)
ODDLY_HELD = sa.text(
    f"SELECT name, version, storage_location FROM model_versions WHERE {ALIVE} AND {ODD}"  # noqa: S608  # constants
)
RUNS_OF_EXPERIMENT = sa.text("SELECT run_uuid FROM runs WHERE experiment_id = :experiment")


def install(connection: sa.Connection) -> None:
    """Create the indexes where they are missing; call it when events and MLflow's tables are there."""
    for name, on in INDEXES.items():
        if connection.scalar(sa.text("SELECT to_regclass(:name) IS NULL"), {"name": name}):
            connection.execute(sa.text(f"CREATE INDEX IF NOT EXISTS {name.split('.')[-1]} ON {on}"))


def run_holder(engine: sa.Engine, runs: list[str]) -> str | None:
    """Return the version ("3 of 'churn'") that was approved on what one of the runs holds, or None."""
    with _reading(engine) as connection:
        return _named(connection.scalar(APPROVED_RUN, {"runs": runs}))


def location_holder(engine: sa.Engine, folder: str) -> str | None:
    """Return the version that was approved on a folder or on one below it, or None."""
    with _reading(engine) as connection:
        return _named(connection.scalar(APPROVED_LOCATION, {"folder": folder, "below": folder + "/"}))


def experiment_holder(engine: sa.Engine, tracking: sa.Engine, experiment: str) -> str | None:
    """Return the version that was approved on one of an experiment's runs, or None."""
    with _reading(tracking) as connection:
        runs = list(connection.scalars(RUNS_OF_EXPERIMENT, {"experiment": int(experiment)}))
    return run_holder(engine, runs) if runs else None


def folder_holder(engine: sa.Engine, path: str) -> str | None:
    """Return the registered version that holds a path, lies below it, or was approved on its run, or None."""
    wanted = canonical_path(path)
    parts = wanted.split("/")
    folders = [ROOT + "/".join(parts[: end + 1]) for end in range(len(parts))]
    asked = {"folders": folders, "below": ROOT + wanted + "/" if wanted else ROOT}
    runs = [part for part in parts if RUN_ID.fullmatch(part)]
    with _reading(engine) as connection:
        found = connection.execute(HELD, asked).first()
        if found:
            return f"{found.version} of '{found.name}'"
        for name, version, location in connection.execute(ODDLY_HELD):
            held = canonical_path(urlsplit(location).path)
            if _within(wanted, held) or _within(held, wanted):
                return f"{version} of '{name}'"
        return _named(connection.scalar(APPROVED_RUN, {"runs": runs})) if runs else None


def _reading(engine: sa.Engine) -> sa.Connection:
    # One look needs no transaction: without it there is one round trip less before, and one after.
    return engine.execution_options(isolation_level="AUTOCOMMIT").connect()


def _named(subject: str | None) -> str | None:
    if subject is None:
        return None
    name, _, version = subject.rpartition("/")
    return f"{version} of '{name}'"


def _within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")
