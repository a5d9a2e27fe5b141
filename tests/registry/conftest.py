"""A person's or service's hand on the real server: REST calls with their own login."""

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from playwright.sync_api import Browser, sync_playwright

from flywheel import events
from flywheel.connections import Endpoints, Secrets, endpoints, secrets
from flywheel.events import Event, EventKind
from flywheel.settings import Settings

ARTIFACTS = "mlflow-artifacts/artifacts"


@dataclass
class Server:
    """The stack's MLflow server, its users and its event trail."""

    where: Endpoints
    known: Secrets = field(repr=False)
    engine: sa.Engine

    def call(self, user: str | None, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Call `/api/2.0/<path>`, or an absolute path, as a user or (None) as a stranger."""
        url = self.where.mlflow_url + (path if path.startswith("/") else f"/api/2.0/{path}")
        login = (user, self.known.users[user]) if user else None
        return requests.request(method, url, auth=login, timeout=60, **kwargs)

    def post(self, user: str | None, path: str, **body: Any) -> requests.Response:
        """POST a JSON body to MLflow's API."""
        return self.call(user, "POST", f"mlflow/{path}", json=body)

    def made(self, user: str, path: str, **body: Any) -> dict[str, Any]:
        """POST what must succeed, and return the answer."""
        response = self.post(user, path, **body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def move(self, user: str | None, model: str, version: str, stage: str, archive: bool = False) -> requests.Response:
        """Ask for a transition."""
        body = {"name": model, "version": version, "stage": stage, "archive_existing_versions": archive}
        return self.post(user, "model-versions/transition-stage", **body)

    def version(self, model: str, version: str) -> dict[str, Any]:
        """Read a version, with its tags as a mapping."""
        found = self.call("ada", "GET", f"mlflow/model-versions/get?name={model}&version={version}")
        assert found.status_code == 200, found.text
        answer: dict[str, Any] = found.json()["model_version"]
        answer["tags"] = {tag["key"]: tag["value"] for tag in answer.get("tags", [])}
        return answer

    def model(self, user: str = "ada", prefix: str = "gate") -> str:
        """Create a registered model with a name of its own; the policy has sections for some prefixes."""
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        self.made(user, "registered-models/create", name=name)
        return name

    def run(self, user: str = "ada", **extra: Any) -> tuple[str, str]:
        """Start a run that has logged a small model folder; return its id and the folder's path in the store."""
        experiment = self._experiment()
        run = str(self.made(user, "runs/create", experiment_id=experiment, **extra)["run"]["info"]["run_id"])
        folder = f"{experiment}/{run}/artifacts/model"
        for name in ("MLmodel", "data/model.bin"):
            answer = self.call(user, "PUT", f"{ARTIFACTS}/{folder}/{name}", data=f"{name} of {run}".encode())
            assert answer.status_code == 200, answer.text
        return run, folder

    def register(self, model: str, user: str = "ada", **extra: Any) -> str:
        """Register a version of a fresh run; return its number."""
        run, folder = self.run(user)
        body = {"name": model, "source": f"mlflow-artifacts:/{folder}", "run_id": run} | extra
        return str(self.made(user, "model-versions/create", **body)["model_version"]["version"])

    def events(self, model: str, kind: EventKind | None = None) -> list[Event]:
        """Read a model's events."""
        with self.engine.connect() as connection:
            return events.read(connection, kind, model=model)

    def trail_is_whole(self) -> bool:
        """Check the whole chain; raises when it is broken."""
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            events.verify(events.read(connection), events.read_head(connection))
        return True

    def _experiment(self) -> str:
        found = self.call("ada", "GET", "mlflow/experiments/get-by-name?experiment_name=gate")
        if found.status_code == 200:
            return str(found.json()["experiment"]["experiment_id"])
        return str(self.made("ada", "experiments/create", name="gate")["experiment_id"])


@pytest.fixture(scope="session")
def server(stack: Settings) -> Iterator[Server]:
    engine = sa.create_engine(secrets(stack).databases["reader"])
    yield Server(endpoints(stack), secrets(stack), engine)
    engine.dispose()


@pytest.fixture
def model(server: Server) -> str:
    return server.model()


@pytest.fixture
def home(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands of this process find the shared stack."""
    monkeypatch.setenv("FLYWHEEL_HOME", str(stack.root))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's browser for the pages of a module."""
    with sync_playwright() as browsers:
        made = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield made
        made.close()
