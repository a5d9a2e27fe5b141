"""Which version holds a run, a folder or a logged model: what every write asks, so each answer is one look at an index.

An approval is a `transition` event to Production. It holds its run for good: also when its version was archived,
renamed or deleted since, because an auditor asks later. A folder is held by every version that is registered.
"""

import re
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from registry.doors.artifacts import canonical_path
from registry.glance import glance

RUN_ID = re.compile(r"[0-9a-f]{32}")
ROOT = "mlflow-artifacts:/"
ALIVE = "current_stage <> 'Deleted_Internal'"
APPROVAL = "kind = 'transition' AND (body::jsonb ->> 'to') = 'Production'"
ODD = "flywheel.odd_location(storage_location)"

# Most locations are spelled in the one way that comparisons use; the few others are compared one by one. A function,
# because Postgres would try a bare pattern on its statistics each time it plans (2 ms).
ODD_LOCATION = r"""
CREATE OR REPLACE FUNCTION flywheel.odd_location(location text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN location !~ '^mlflow-artifacts:(/[^/%?#\\[:cntrl:]]+)+$' AND location ~* '[[:cntrl:]]|mlflow-artifacts:'
        OR location ~ '/[.]{1,2}(/|$)';
END $$
"""
INDEXES = {
    "flywheel.events_approved_run": f"flywheel.events ((body::jsonb ->> 'run_id')) WHERE {APPROVAL}",
    "flywheel.events_approved_location": (
        f"flywheel.events ((body::jsonb ->> 'location') text_pattern_ops) WHERE {APPROVAL}"
    ),
    "flywheel_location": "model_versions (storage_location varchar_pattern_ops)",
    "flywheel_odd_location": f"model_versions (name) WHERE {ODD}",
}

APPROVED_RUN = f"""
SELECT subject FROM flywheel.events WHERE {APPROVAL} AND (body::jsonb ->> 'run_id') = ANY(%(runs)s) LIMIT 1
"""  # noqa: S608  # constants
APPROVED_LOCATION = f"""
SELECT subject FROM flywheel.events WHERE {APPROVAL}
AND ((body::jsonb ->> 'location') = %(folder)s OR (body::jsonb ->> 'location') ^@ %(below)s) LIMIT 1
"""  # noqa: S608  # constants
HELD = f"""
SELECT name, version FROM model_versions WHERE {ALIVE} AND storage_location = ANY(%(folders)s)
UNION ALL SELECT name, version FROM model_versions WHERE {ALIVE} AND storage_location ^@ %(below)s LIMIT 1
"""  # noqa: S608  # constants
ABOVE = f"SELECT name, version FROM model_versions WHERE {ALIVE} AND storage_location = ANY(%(folders)s) LIMIT 1"  # noqa: S608
APPROVED_ABOVE = f"""
SELECT subject FROM flywheel.events WHERE {APPROVAL} AND (body::jsonb ->> 'location') = ANY(%(folders)s) LIMIT 1
"""  # noqa: S608  # constants
ODDLY_HELD = f"SELECT name, version, storage_location FROM model_versions WHERE {ALIVE} AND {ODD}"  # noqa: S608
RUNS_OF_EXPERIMENT = "SELECT run_uuid FROM runs WHERE experiment_id = %(experiment)s"


def install(connection: sa.Connection) -> None:
    """Create the indexes where they are missing; call it when events and MLflow's tables are there."""
    connection.execute(sa.text(ODD_LOCATION))
    for name, on in INDEXES.items():
        if connection.scalar(sa.text("SELECT to_regclass(:name) IS NULL"), {"name": name}):
            connection.execute(sa.text(f"CREATE INDEX IF NOT EXISTS {name.split('.')[-1]} ON {on}"))


def run_holder(engine: sa.Engine, runs: list[str]) -> str | None:
    """Return the version ("3 of 'churn'") that was approved on what one of the runs holds, or None."""
    return _approved(glance(engine, APPROVED_RUN, {"runs": runs}))


def location_holder(engine: sa.Engine, folder: str) -> str | None:
    """Return the version that was approved on a folder or on one below it, or None."""
    return _approved(glance(engine, APPROVED_LOCATION, {"folder": folder, "below": folder + "/"}))


def experiment_holder(engine: sa.Engine, tracking: sa.Engine, experiment: int) -> str | None:
    """Return the version that was approved on one of an experiment's runs, or None."""
    runs = [run for (run,) in glance(tracking, RUNS_OF_EXPERIMENT, {"experiment": experiment})]
    return run_holder(engine, runs) if runs else None


def folder_holder(engine: sa.Engine, path: str) -> str | None:
    """Return the registered version that holds a path, lies below it, or was approved on its run, or None."""
    wanted = canonical_path(path)
    parts, folders = wanted.split("/"), _folders(wanted)
    asked = {"folders": folders, "below": ROOT + wanted + "/" if wanted else ROOT}
    for name, version in glance(engine, HELD, asked):
        return f"{version} of '{name}'"
    for name, version, location in glance(engine, ODDLY_HELD):
        held = canonical_path(urlsplit(location).path)
        if _within(wanted, held) or _within(held, wanted):
            return f"{version} of '{name}'"
    runs = [part for part in parts if RUN_ID.fullmatch(part)]
    return run_holder(engine, runs) if runs else None


def version_above(engine: sa.Engine, path: str) -> str | None:
    """Return the version, registered or approved, in whose folder a path lies, or None; its run does not count."""
    wanted = canonical_path(path)
    folders = {"folders": _folders(wanted)}
    for name, version in glance(engine, ABOVE, folders):
        return f"{version} of '{name}'"
    for name, version, location in glance(engine, ODDLY_HELD):
        if _within(wanted, canonical_path(urlsplit(location).path)):
            return f"{version} of '{name}'"
    return _approved(glance(engine, APPROVED_ABOVE, folders))


def _folders(path: str) -> list[str]:
    """Return a path and all that it lies in, as locations are mostly spelled."""
    parts = path.split("/")
    return [ROOT + "/".join(parts[: end + 1]) for end in range(len(parts))]


def _approved(subjects: list[tuple[Any, ...]]) -> str | None:
    for (subject,) in subjects:
        name, _, version = str(subject).rpartition("/")
        return f"{version} of '{name}'"
    return None


def _within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")
