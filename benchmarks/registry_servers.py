"""MLflow servers on one Postgres and one S3: MLflow's own behind its login, and the same with the registry in it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa
import yaml
from psycopg2 import sql

from flywheel.connections import secrets
from flywheel.policy import Policy
from flywheel.settings import Settings
from flywheel.stack import databases, postgres, tracking_server
from flywheel.stack.credentials import load_credentials
from flywheel.stack.down import end_stack, erase
from flywheel.stack.ports import free_port, remembered_ports
from flywheel.stack.supervisor import clean_environment, program_path
from flywheel.stack.up import bring_up

START_SECONDS = 240
PLAIN_LOGIN = """\
[mlflow]
default_permission = READ
database_uri = {database}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 300
"""


@dataclass(frozen=True)
class Server:
    """One MLflow server behind a login."""

    label: str
    url: str
    users: dict[str, str]

    def session(self, user: str) -> requests.Session:
        """Return a kept connection that acts as `user`."""
        session = requests.Session()
        session.auth = (user, self.users[user])
        return session

    def post(self, session: requests.Session, path: str, **body: Any) -> requests.Response:
        """POST to MLflow's API."""
        return session.post(f"{self.url}/api/2.0/mlflow/{path}", json=body, timeout=120)

    def made(self, session: requests.Session, path: str, **body: Any) -> dict[str, Any]:
        """POST what must succeed, and return the answer."""
        answer = self.post(session, path, **body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def stack(policy: Policy) -> Iterator[Settings]:
    """Run a stack under a policy in a temporary home."""
    home = Path(tempfile.mkdtemp(prefix="flywheel-benchmark-"))
    home.chmod(0o755)  # Postgres runs as nobody for root
    (home / "policy.yaml").write_text(yaml.safe_dump(policy.model_dump(mode="json"), sort_keys=False))
    settings = Settings(home=home)
    try:
        bring_up(settings, lambda line: print(f"stack: {line}", file=sys.stderr))
        yield settings
    finally:
        end_stack(settings, patience=5)
        erase(settings)
        shutil.rmtree(home, ignore_errors=True)


def stack_server(settings: Settings) -> Server:
    """Return the stack's own server."""
    ports = remembered_ports(settings)
    assert ports is not None  # noqa: S101  # the stack runs
    return Server("Flywheel", tracking_server.url(ports), secrets(settings).users)


def plain_server(until: ExitStack, settings: Settings, policy: Policy) -> Server:
    """Start MLflow's own server with its login, on databases of its own in the stack's Postgres and S3."""
    users = secrets(settings).users
    database = _new_database(settings, policy, "plain")
    login = settings.root / "run" / "plain-login.ini"
    login.write_text(PLAIN_LOGIN.format(database=database.replace("%", "%%")))
    environment = {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_REGISTRY_STORE_URI": database,
        "MLFLOW_AUTH_CONFIG_PATH": str(login),
    }
    server = _start(until, settings, "MLflow", "basic-auth", 1, environment)
    tracking_server.prepare_users(server.url, users)
    return server


def second_server(until: ExitStack, settings: Settings, workers: int) -> Server:
    """Start another Flywheel server with several workers, on the same database as the stack's own."""
    return _start(until, settings, f"Flywheel, {workers} workers", "flywheel", workers, {})


def _start(until: ExitStack, settings: Settings, label: str, app: str, workers: int, changes: dict[str, str]) -> Server:
    document = json.loads(program_path(settings, tracking_server.NAME).read_text())
    port = free_port()
    command = list(document["command"])
    for option, value in (("--app-name", app), ("--workers", str(workers)), ("--port", str(port))):
        command[command.index(option) + 1] = value
    environment = {**clean_environment(settings), **document["environment"], **changes}
    log = (settings.root / "logs" / f"benchmark-{port}.log").open("wb")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    until.callback(log.close)
    until.callback(process.wait)
    until.callback(os.killpg, process.pid, signal.SIGTERM)
    server = Server(label, f"http://127.0.0.1:{port}", secrets(settings).users)
    _await(server, process)
    return server


def _await(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{server.url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    sys.exit(f"The server '{server.label}' did not start within {START_SECONDS} seconds.")


def owner_engine(until: ExitStack, settings: Settings, policy: Policy) -> sa.Engine:
    """Return an engine on MLflow's database as the owner of all Postgres, whom no trigger binds."""
    engine = sa.create_engine(_owner(settings, policy).set(database="mlflow"))
    until.callback(engine.dispose)
    return engine


def _owner(settings: Settings, policy: Policy) -> sa.URL:
    ports = remembered_ports(settings)
    assert ports is not None  # noqa: S101  # the stack runs
    return postgres.owner_url(ports.postgres, load_credentials(settings, policy).postgres_owner)


def _new_database(settings: Settings, policy: Policy, name: str) -> str:
    """Create a database that the server's role owns; return its address."""
    owner = _owner(settings, policy)
    with databases.connect(owner) as connection, connection.cursor() as cursor:
        role = databases.ROLES["server"]
        cursor.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'").format(
                sql.Identifier(name), sql.Identifier(role)
            )
        )
    return secrets(settings).databases["server"].rsplit("/", 1)[0] + f"/{name}"
