"""A server of its own for what changes the whole server: two workers, single sign-on, a policy and a database apart."""

import os
import secrets as entropy
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
import yaml

from flywheel import events
from flywheel.connections import secrets
from flywheel.events import Event, EventKind
from flywheel.identities import ADMIN, SERVICES
from flywheel.policy import Policy
from flywheel.settings import Settings
from flywheel.stack import databases, postgres, tracking_server
from flywheel.stack.credentials import load_credentials
from flywheel.stack.ports import Ports, remembered_ports
from flywheel.stack.probes import healthy
from registry.access.sso import SECRET_HEADER

PEOPLE = {
    "ada": "data_scientist",
    "grace": "reviewer",
    "rosa": "reviewer",
    "olga": "operator",
    "vera": "viewer",
    "sam": "data_scientist",
    "nora": "data_scientist",
}
HEADER = "X-Forwarded-User"
DEADLINE = 10.0  # seconds
TIMES = 10  # requests on connections of their own, after which each of two workers has answered


@dataclass
class Apart:
    """The server, its users' passwords, and the secret of its proxy."""

    url: str
    passwords: dict[str, str] = field(repr=False)
    proxy_secret: str = field(repr=False)
    policy: Path
    engine: sa.Engine

    def call(self, user: str | None, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Call a path as a user, or (None) with what `headers` say alone."""
        login = (user, self.passwords[user]) if user else None
        url = self.url + (path if path.startswith("/") else f"/api/2.0/{path}")
        return requests.request(method, url, auth=login, timeout=60, **kwargs)

    def through_proxy(self, user: str, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Call as the proxy does for somebody it knows."""
        headers = {HEADER: user, SECRET_HEADER: self.proxy_secret, **kwargs.pop("headers", {})}
        return self.call(None, method, path, headers=headers, **kwargs)

    def trail(self, kind: EventKind | None = None, subject: str | None = None) -> list[Event]:
        """Read the audit trail."""
        with self.engine.connect() as connection:
            return events.read(connection, kind, subject)

    def model(self, user: str = "ada") -> str:
        """Create a registered model with a name of its own."""
        name = f"access-{uuid.uuid4().hex[:12]}"
        answer = self.call(user, "POST", "mlflow/registered-models/create", json={"name": name})
        assert answer.status_code == 200, answer.text
        return name

    def tag(self, user: str | None, model: str, **kwargs: Any) -> requests.Response:
        """Change a model in the smallest way."""
        body = {"name": model, "key": "k", "value": "v"}
        return self.call(user, "POST", "mlflow/registered-models/set-tag", json=body, **kwargs)

    def people(self) -> dict[str, str]:
        """Return everybody's role under the policy in force."""
        found = self.call(ADMIN, "GET", "/flywheel/api/policy").json()["document"]["people"]
        return {name: person["role"] if isinstance(person, dict) else person for name, person in found.items()}

    def adopt(self, people: dict[str, str]) -> None:
        """Propose other people, and approve that as another."""
        document = yaml.safe_dump({"people": people, "gates": {"required": []}})
        body = {"document": document, "reason": "A test."}
        proposed = self.call("rosa", "POST", "/flywheel/api/policy/proposals", json=body)
        assert proposed.status_code == 200, proposed.text
        path = f"/flywheel/api/policy/proposals/{proposed.json()['number']}/approve"
        approved = self.call("grace", "POST", path, json={})
        assert approved.status_code == 200, approved.text

    def each_worker(self, ask: Callable[[], int], *, after: float = 0) -> set[int]:
        """Ask again and again on new connections, so that both workers answer.

        Return the statuses of requests that were sent `after` seconds from now or later.
        """
        until, found = time.monotonic() + after, list[int]()
        while len(found) < TIMES:
            late, status = time.monotonic() >= until, ask()
            found += [status] if late else []
        return set(found)


def eventually(ask: Callable[[], Any], wanted: Any, within: float = DEADLINE) -> None:
    """Wait until `ask` answers as wanted."""
    until = time.monotonic() + within
    while (got := ask()) != wanted:
        assert time.monotonic() < until, f"still {got!r} instead of {wanted!r} after {within} s"


@pytest.fixture(scope="session")
def apart(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    ports, credentials, folder = _ports(stack), load_credentials(stack, Policy()), tmp_path_factory.mktemp("apart")
    owner = postgres.owner_url(ports.postgres, credentials.postgres_owner)
    if stack.database_url is not None:
        owner = databases.parse_owner_url(stack.database_url)
    name = f"access_{uuid.uuid4().hex[:8]}"
    with databases.connect(owner) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} OWNER fw_server")
    database = sa.make_url(_server_url(stack)).set(database=name).render_as_string(hide_password=False)
    engine = sa.create_engine(database)
    policy, secret, port = folder / "policy.yaml", entropy.token_hex(16), _free_port()
    policy.write_text(yaml.safe_dump({"people": PEOPLE, "gates": {"required": []}}))
    (folder / "sso-secret").write_text(secret + "\n")
    program = tracking_server.program(stack, ports, credentials, database)
    command = _with(_with(program.command, "--port", str(port)), "--workers", "2")
    (folder / "login.ini").write_text(tracking_server.LOGIN.format(database=database.replace("%", "%%"), admin=ADMIN))
    environment = {
        **os.environ,
        **program.environment,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "login.ini"),
        "FLYWHEEL_POLICY": str(policy),
        "FLYWHEEL_SSO_HEADER": HEADER,
        "FLYWHEEL_SSO_PROXIES": "127.0.0.0/8",
        "FLYWHEEL_SSO_SECRET_FILE": str(folder / "sso-secret"),
    }
    url = f"http://127.0.0.1:{port}"
    known = {ADMIN: credentials.users[ADMIN]}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _await(process, url, folder / "server.log")
        named = [*SERVICES, *(person for person in PEOPLE if person != "nora")]  # nora has never been here
        known |= {user: entropy.token_hex(12) for user in named}
        tracking_server.prepare_users(url, known)
        yield Apart(url, known, secret, policy, engine)
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30)
        engine.dispose()
        with databases.connect(owner) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _ports(stack: Settings) -> Ports:
    found = remembered_ports(stack)
    assert found is not None
    return found


def _server_url(stack: Settings) -> str:
    return secrets(stack).databases["server"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _with(command: list[str], option: str, value: str) -> list[str]:
    place = command.index(option)
    return [*command[: place + 1], value, *command[place + 2 :]]


def _await(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + 120
    while healthy(f"{url}/health") is not None:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.2)


@pytest.fixture
def token_of(apart: Apart) -> Callable[..., str]:
    def issue(user: str, *scopes: str, by: str | None = None) -> str:
        body = {"name": "test", "user": user, "scopes": ",".join(scopes)}
        answer = apart.call(by or user, "POST", "/flywheel/api/tokens", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    return issue
