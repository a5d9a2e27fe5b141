"""Callers before a door, and requests exactly as they are written: no client tidies them up."""

import base64
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from flywheel.identities import CONTROLLER

if TYPE_CHECKING:
    from tests.registry.conftest import Server

AUTHOR, REVIEWER, ADMINISTRATOR, STRANGER = "ada", "grace", "admin", None
EVERYBODY = (AUTHOR, REVIEWER, ADMINISTRATOR, STRANGER)


@dataclass(frozen=True)
class Answer:
    """What came back; `message` is MLflow's sentence, or the body where it is none."""

    status: int
    body: str

    @property
    def message(self) -> str:
        try:
            document = json.loads(self.body)
        except ValueError:
            return self.body
        return str(document.get("message", self.body)) if isinstance(document, dict) else self.body


class Knock:
    """Sends requests that are written by hand."""

    def __init__(self, server: "Server") -> None:
        self.server = server

    def __call__(
        self, user: str | None, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request: `body` is bytes as they are, anything else as JSON; redirects are not followed."""
        where = urlsplit(self.server.where.mlflow_url)
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
        if user is not None and "Authorization" not in sent:
            login = base64.b64encode(f"{user}:{self.server.known.users[user]}".encode()).decode()
            sent["Authorization"] = f"Basic {login}"
        line = http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)
        try:
            line.putrequest(method, path, skip_accept_encoding=True)
            for name, value in sent.items():
                line.putheader(name, value)
            line.endheaders(content)
            answer = line.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"))
        finally:
            line.close()


@pytest.fixture(scope="session")
def knock(server: "Server") -> Knock:
    return Knock(server)


def stage(server: "Server", model: str, version: str) -> str:
    return str(server.version(model, version)["current_stage"])


def approve(server: "Server", model: str, version: str, *, then_archive: bool = False) -> None:
    """Have the reviewer approve a version, and the controller archive it."""
    answer = server.move(REVIEWER, model, version, "Production")
    assert answer.status_code == 200, answer.text
    if then_archive:
        assert server.move(CONTROLLER, model, version, "Archived").status_code == 200
