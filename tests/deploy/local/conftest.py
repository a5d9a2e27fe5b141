"""The local target on a real supervisor, without a gateway; packages are variants of the tiny model."""

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from deploy.desired import Served
from deploy.gateway.admin import Gateway
from deploy.local.target import LocalTarget, Told
from deploy.loop.interfaces import Condition, Readiness
from deploy.packages import Packages
from flywheel.digest import folder_digest
from flywheel.settings import Settings
from flywheel.stack.processes import end_leftovers
from flywheel.stack.supervisor import program_path, program_states, shut_down, start_supervisor
from tests.deploy.conftest import row, wait_for
from tests.deploy.gateway.test_gateway import Site, running_site

MODEL = "tiny_model.py"


@dataclass
class House:
    """A home with a supervisor, and the versions that its registry holds."""

    settings: Settings
    tiny: Path
    registry: Path
    gateway: Gateway = field(default_factory=lambda: Gateway("http://127.0.0.1:1"))

    def version(
        self, number: str, *, code: str = "", requirements: str = "mlflow==3.17.2\n", python: str | None = None
    ) -> Served:
        """Register a version of the tiny model, with more code at its end, and a lock of these contents."""
        folder = self.registry / number
        shutil.copytree(self.tiny, folder)
        with (folder / MODEL).open("a") as file:
            file.write(f"\n# version {number}\n{code}\n")
        (folder / "requirements.txt").write_text(requirements)
        lock = folder / "python_env.yaml"
        lock.write_text(yaml.safe_dump(yaml.safe_load(lock.read_text()) | ({"python": python} if python else {})))
        return Served("tiny", number, folder_digest(folder))

    def serve(self, **defaults: object) -> None:
        """Write serving.yaml."""
        (self.settings.root / "serving.yaml").write_text(yaml.safe_dump({"defaults": defaults}))

    def target(self, told: Told | None = None) -> LocalTarget:
        """Return a target that has just begun."""
        packages = Packages(
            self.settings.root / "packages",
            lambda usecase, version, folder: Path(shutil.copytree(self.registry / version, folder)),
        )
        return LocalTarget(self.settings, self.gateway, packages, told=told)

    def programs(self) -> set[str]:
        return set(self.pids())

    def python(self, program: str) -> str:
        """Return the interpreter with which a program was started."""
        return str(json.loads(program_path(self.settings, program).read_text())["command"][0])

    def pids(self) -> dict[str, int | None]:
        """Return the processes of the versions' programs."""
        return {name: state.pid for name, state in program_states(self.settings).items() if "tiny" in name}


def settled(target: LocalTarget, served: Served, seconds: float = 170) -> Condition:
    """Tick until a version is ready or has failed."""
    seen: list[Condition] = []

    def ended() -> bool:
        seen.append(target.ensure(served))
        return seen[-1].readiness is not Readiness.STARTING

    wait_for(ended, f"the start of {served.subject}", seconds)
    return seen[-1]


def answered_by(site: Site) -> str:
    """Ask the gateway for a prediction; return the version that gave it."""
    body = json.dumps({"dataframe_records": [row()]}).encode()
    asked = urllib.request.Request(  # noqa: S310  # our own gateway
        f"{site.url}/tiny/invocations", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310
        return str(answer.headers["x-flywheel-version"])


@pytest.fixture
def house(tiny_package: Path, tmp_path: Path) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="fw-", ignore_cleanup_errors=True) as home, opened(Path(home)) as settings:
        yield House(settings, tiny_package, tmp_path / "registry")


@pytest.fixture
def gated_house(tiny_package: Path, tmp_path: Path) -> Iterator[tuple[House, Site]]:
    """Yield a house behind a real Envoy."""
    with (
        tempfile.TemporaryDirectory(prefix="fw-", ignore_cleanup_errors=True) as home,
        running_site(Path(home)) as site,
        opened(Path(home)) as settings,
    ):
        yield House(settings, tiny_package, tmp_path / "registry", gateway=site.gateway), site


@contextmanager
def opened(home: Path) -> Iterator[Settings]:
    """Yield a home whose supervisor runs."""
    settings = Settings(home=home)
    for name in ("conf.d", "programs"):
        (home / "supervisor" / name).mkdir(parents=True)
    (home / "run").mkdir(exist_ok=True)
    start_supervisor(settings)
    try:
        yield settings
    finally:
        shut_down(settings)
        end_leftovers(home, patience=5)
