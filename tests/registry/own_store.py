"""A gate store on a database of its own in the stack's Postgres: for tests that change the policy or crowd the lock."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
import yaml

from flywheel import events
from flywheel.events import Event, EventKind
from flywheel.policy import load_policy
from flywheel.settings import Settings
from flywheel.stack import postgres
from flywheel.stack.credentials import load_credentials
from flywheel.stack.ports import remembered_ports

if TYPE_CHECKING:
    from registry.store.gate import GateStore

POLICY = {
    "people": {
        "ada": "data_scientist",
        "grace": {"role": "reviewer", "commits_as": ["grace@example.org"]},
        "alan": {"role": "reviewer", "commits_as": ["alan@example.org"]},
        "olga": "operator",
        "vic": "viewer",
        "admin": "administrator",
    },
    "production": {"robots": "gates"},
    "gates": {"required": []},
    "models": {
        "[!r]*": {"robots": "review"},
        "strict-*": {"approvals": 2},
        "known-*": {"unknown_contributors": "refuse"},
        "gated-*": {"gates": ["size"]},
        "robot-*": {"gates": ["size"]},
        "champion-*": {"gates": ["champion"]},
        "small-*": {"gates": ["size"], "limits": {"size_mb": 50}},
        "aging-*": {"gates": ["size"], "approvals": 2, "approvals_expire": "7d", "expire": "7d"},
    },
}


def owner_url(stack: Settings, database: str) -> sa.URL:
    """Return the address of a database of the stack, as the owner of its Postgres."""
    ports = remembered_ports(stack)
    assert ports is not None
    password = load_credentials(stack, load_policy(stack.root / "policy.yaml")).postgres_owner
    return postgres.owner_url(ports.postgres, password).set(database=database)


@contextmanager
def own_database(stack: Settings) -> Iterator[str]:
    """Yield the address of an empty database, which is gone afterwards."""
    name = f"own_{uuid.uuid4().hex[:12]}"
    owner = sa.create_engine(owner_url(stack, "postgres"), isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield owner_url(stack, name).render_as_string(hide_password=False)
    finally:
        with owner.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        owner.dispose()


@dataclass
class OwnStore:
    """A store without a server: its artifacts lie in a folder, and whoever a test names is logged in."""

    store: "GateStore"
    url: str
    folder: Path

    def by(self, user: str) -> "GateStore":
        """Return the store as `user`, in this thread."""
        flask = import_module("flask")
        if not flask.has_request_context():
            flask.Flask("test").test_request_context().push()
        flask.g.mlflow_authenticated_user = user
        return self.store

    def model(self, prefix: str = "own") -> str:
        """Create a model with a name of its own."""
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        self.by("ada").create_registered_model(name)
        return name

    def register(self, model: str, user: str = "ada", **files: str) -> str:
        """Register a version of a fresh folder with these files (`/` as `__`); return its number."""
        path = f"{uuid.uuid4().hex}/model"
        for name, text in {"MLmodel": "flavors: {}", **files}.items():
            self.write(path, name.replace("__", "/"), text)
        made = self.by(user).create_model_version(model, f"mlflow-artifacts:/{path}")
        return str(made.version)

    def write(self, path: str, name: str, text: str) -> None:
        """Write a file below the artifact store."""
        target = self.folder / path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def path(self, model: str, version: str) -> str:
        """Return where a version's folder lies below the artifact store."""
        return str(self.store.get_model_version_download_uri(model, version)).removeprefix("mlflow-artifacts:/")

    def move(self, user: str, model: str, version: str, stage: str = "Production") -> str:
        """Move a version; return "" or the refusal."""
        try:
            self.by(user).transition_model_version_stage(model, version, stage, False)
        except import_module("mlflow.exceptions").MlflowException as fault:
            if fault.error_code != "PERMISSION_DENIED":
                raise
            return str(fault.message)
        return ""

    def review(self, user: str, model: str, version: str, decision: str = "approve", comment: str = "Hm.") -> None:
        """Review a version."""
        self.by(user).review(model, version, decision, comment)

    def record(self, kind: EventKind, subject: str, actor: str, body: dict[str, Any]) -> Event:
        """Append an event as another room would."""
        with self.store.engine.begin() as connection:
            return events.append(connection, kind, subject, actor, body)

    def events(self, model: str, kind: EventKind | None = None) -> list[Event]:
        """Read a model's events."""
        with self.store.engine.connect() as connection:
            return events.read(connection, kind, model=model)

    def verify(self) -> None:
        """Check the whole chain; raises when it is broken."""
        with self.store.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            events.verify(events.read(connection), events.read_head(connection))


@contextmanager
def own_store(stack: Settings, folder: Path, policy: dict[str, Any] = POLICY) -> Iterator[OwnStore]:
    """Yield a store on a database of its own, whose first policy is `policy`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    with own_database(stack) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYWHEEL_POLICY", str(file))
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(folder / "artifacts"))
        made = import_module("registry.store.gate").GateStore("flywheel+" + url)
        yield OwnStore(made, url, folder / "artifacts")
        made.engine.dispose()
