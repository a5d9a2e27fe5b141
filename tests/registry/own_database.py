"""A database of one test's own in the stack's Postgres, with the tables of MLflow's registry and the audit trail."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import sqlalchemy as sa

from flywheel import events
from flywheel.events import EventKind
from flywheel.policy import load_policy
from flywheel.settings import Settings
from flywheel.stack import postgres
from flywheel.stack.credentials import load_credentials
from flywheel.stack.ports import remembered_ports

TABLES = ("registered_models", "model_versions", "registered_model_aliases")  # others join MLflow's metadata later


def superuser_url(stack: Settings, database: str = "mlflow") -> sa.URL:
    """Return the address of a database of the stack, as the owner of its Postgres."""
    ports = remembered_ports(stack)
    assert ports is not None
    password = load_credentials(stack, load_policy(stack.root / "policy.yaml")).postgres_owner
    return postgres.owner_url(ports.postgres, password).set(database=database)


@contextmanager
def own_database(stack: Settings) -> Iterator[sa.Engine]:
    """Yield an engine on a fresh database; the gate's triggers are in it."""
    name = f"own_{uuid.uuid4().hex[:12]}"
    owner = sa.create_engine(superuser_url(stack, "postgres"), isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine = sa.create_engine(superuser_url(stack, name), executemany_mode="values_plus_batch")
    try:
        metadata = import_module("mlflow.store.model_registry.dbmodels.models").Base.metadata
        metadata.create_all(engine, [metadata.tables[table] for table in TABLES])
        with engine.begin() as connection:
            events.install(connection)
        yield engine
    finally:
        engine.dispose()
        with owner.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        owner.dispose()


def register(connection: sa.Connection, model: str, version: int, source: str = "mlflow-artifacts:/x") -> None:
    """Register a version as the gate does: a row, and its event in the same transaction."""
    connection.execute(
        sa.text("INSERT INTO registered_models (name) VALUES (:name) ON CONFLICT DO NOTHING"), {"name": model}
    )
    insert_version(connection, model, version, source=source)
    body = {"model": model, "version": str(version), "source": source}
    events.append(connection, EventKind.VERSION_CREATED, f"{model}/{version}", "ada", body)


def insert_version(connection: sa.Connection, model: str, version: int, **columns: Any) -> None:
    """Insert the row of a version, without an event."""
    known = {"source": "mlflow-artifacts:/x", "current_stage": "None", "creation_time": 10**13, **columns}
    known.setdefault("storage_location", known["source"])
    names = ("name", "version", *known)
    table = sa.table("model_versions", *(sa.column(name) for name in names))
    connection.execute(table.insert().values(name=model, version=version, **known))


def move(connection: sa.Connection, model: str, version: int, stage: str) -> None:
    """Move a version as the gate does."""
    events.append(
        connection,
        EventKind.TRANSITION,
        f"{model}/{version}",
        "grace",
        {"model": model, "version": str(version), "to": stage},
    )
    statement = sa.text("UPDATE model_versions SET current_stage = :stage WHERE name = :name AND version = :version")
    connection.execute(statement, {"stage": stage, "name": model, "version": version})


def intrude(engine: sa.Engine, statement: str, **values: Any) -> None:
    """Run a statement past all triggers and foreign keys, as only a superuser can."""
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.execute(sa.text(statement), values)
