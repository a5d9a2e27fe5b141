"""The local target on a real supervisor, without a gateway; packages are variants of the tiny model."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from deploy.controller import Condition, Readiness
from deploy.desired import Served
from deploy.gateway.admin import Gateway
from deploy.local.target import LocalTarget
from deploy.packages import Packages
from flywheel.digest import folder_digest
from flywheel.settings import Settings
from flywheel.stack.processes import end_leftovers
from flywheel.stack.supervisor import program_states, shut_down, start_supervisor
from tests.deploy.conftest import wait_for

MODEL = "tiny_model.py"


@dataclass
class House:
    """A home with a supervisor, and the versions that its registry holds."""

    settings: Settings
    tiny: Path
    registry: Path
    versions: dict[str, Served] = field(default_factory=dict)

    def version(self, number: str, code: str = "", requirements: str = "mlflow==3.17.2\n") -> Served:
        """Register a version of the tiny model, with more code at its end and these requirements."""
        folder = self.registry / number
        shutil.copytree(self.tiny, folder)
        with (folder / MODEL).open("a") as file:
            file.write(f"\n# version {number}\n{code}\n")
        (folder / "requirements.txt").write_text(requirements)
        self.versions[number] = Served("tiny", number, folder_digest(folder))
        return self.versions[number]

    def serve(self, **defaults: object) -> None:
        """Write serving.yaml."""
        (self.settings.root / "serving.yaml").write_text(yaml.safe_dump({"defaults": defaults}))

    def target(self) -> LocalTarget:
        """Return a target that has just begun."""
        packages = Packages(
            self.settings.root / "packages",
            lambda usecase, version, folder: Path(shutil.copytree(self.registry / version, folder)),
        )
        return LocalTarget(self.settings, Gateway("http://127.0.0.1:1"), packages)

    def programs(self) -> set[str]:
        return {name for name in program_states(self.settings) if "tiny" in name}

    def places(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.settings.root / "run" / "serving.json").read_text())
        return found


def settled(target: LocalTarget, served: Served, seconds: float = 170) -> Condition:
    """Tick until a version is ready or has failed."""
    seen: list[Condition] = []

    def ended() -> bool:
        seen.append(target.ensure(served))
        return seen[-1].readiness is not Readiness.STARTING

    wait_for(ended, f"the start of {served.subject}", seconds)
    return seen[-1]


@pytest.fixture
def house(tiny_package: Path, tmp_path: Path) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="fw-", ignore_cleanup_errors=True) as home:
        settings = Settings(home=Path(home))
        for name in ("conf.d", "programs"):
            (settings.root / "supervisor" / name).mkdir(parents=True)
        (settings.root / "run").mkdir()
        start_supervisor(settings)
        made = House(settings, tiny_package, tmp_path / "registry")
        try:
            yield made
        finally:
            shut_down(settings)
            end_leftovers(settings.root, patience=5)


Make = Callable[[], LocalTarget]
