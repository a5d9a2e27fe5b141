"""Real processes: a controller that is killed with -9 after each of its steps, while clients go on asking."""

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from deploy.gateway.routes import cluster_document
from flywheel import events
from flywheel.connections import endpoints, secrets
from flywheel.digest import folder_digest
from flywheel.events import EventKind
from flywheel.profile import Reference
from flywheel.settings import Settings
from flywheel.stack.gateway import no_routes
from flywheel.stack.supervisor import program_states, stop_and_remove_program
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for
from tests.monitoring.flights_package import USE_CASE, write_model

REFERENCE = Reference(loss=0.6, standard_error=0.01, rows=100, roc_auc=0.5)
# A wide margin, so that a hundred requests decide; the digits of the steps do not matter here.
ROLLOUT = {"steps": [10, 50], "margin": 0.2, "max_minutes": 5}
STEPS = [
    (EventKind.ROLLOUT_STARTED, None),
    (EventKind.ROLLOUT_STEP, "intent"),
    (EventKind.ROLLOUT_STEP, "done"),
]
FINAL = [(EventKind.ROLLOUT_PROMOTED, "done"), (EventKind.ROLLOUT_ROLLED_BACK, "done")]


@dataclass
class Shop:
    """A use case on the running stack, its folder of a registry, and what clients were answered."""

    settings: Settings
    name: str
    registry: Path
    engine: sa.Engine
    codes: Counter[int] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def approve(self, version: str, *, failing: bool = False) -> None:
        """Do what a reviewer's click does: a version in Production, and the event that carries its digest."""
        document = {**USE_CASE, "name": self.name, "rollout": ROLLOUT}
        folder = write_model(self.registry / version, REFERENCE, document)
        if failing:
            (folder / "failing").touch()
        stages = {**self.read("stages"), version: "Production"}
        (self.registry / "stages.json").write_text(json.dumps(stages))
        body = {"model": self.name, "version": version, "from": "None", "to": "Production"}
        with self.engine.begin() as connection:
            digest = folder_digest(folder)
            events.append(
                connection, EventKind.TRANSITION, f"{self.name}/{version}", "grace", {**body, "digest": digest}
            )

    def go_back(self, version: str, left: str) -> None:
        """Do what `flywheel rollback` does: one transaction, in which the present version goes and this one returns."""
        (self.registry / "stages.json").write_text(json.dumps({left: "Archived", version: "Production"}))
        with self.engine.begin() as connection:
            for one, stage in ((left, "Archived"), (version, "Production")):
                body = {"model": self.name, "version": one, "to": stage, "rollback": stage == "Production"}
                digest = folder_digest(self.registry / one)
                subject = f"{self.name}/{one}"
                events.append(connection, EventKind.TRANSITION, subject, "grace", {**body, "digest": digest})

    def read(self, name: str) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.registry / f"{name}.json").read_text())
        return found

    def rollout(self, version: str) -> list[tuple[EventKind, str | None]]:
        """Return kind and state of every event of a version's rollout, in order."""
        with self.engine.connect() as connection:
            found = events.read(connection, subject=f"{self.name}/{version}")
        return [(one.kind, one.body.get("state")) for one in found if one.kind.startswith("rollout.")]

    def controller(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.deploy.deploy_tiny", "--timeout", "60"]
        home = {"FLYWHEEL_HOME": str(self.settings.root)}
        tiny = {"TINY_REGISTRY": str(self.registry), "TINY_USECASE": self.name}
        with (self.registry / "controller.log").open("ab") as log:
            return subprocess.Popen(command, env={**ENVIRONMENT, **home, **tiny}, cwd=ROOT, stdout=log, stderr=log)

    def programs(self) -> set[str]:
        return {name for name in program_states(self.settings) if self.name in name}

    def ask(self) -> None:
        """Send one request and count its answer."""
        url = f"{endpoints(self.settings).gateway_url}/{self.name}/invocations"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own server
                self.codes[answer.status] += 1
                self.versions[json.load(answer)["version"]] += 1
        except urllib.error.HTTPError as fault:
            with fault:
                self.codes[fault.code] += 1
        except OSError:
            self.codes[0] += 1


@pytest.fixture
def shop(stack: Settings, tmp_path: Path) -> Iterator[Shop]:
    registry = tmp_path / "registry"
    registry.mkdir()
    for name in ("stages", "aliases"):
        (registry / f"{name}.json").write_text("{}")
    engine = sa.create_engine(secrets(stack).databases["server"], poolclass=sa.NullPool)
    made = Shop(stack, f"chaos-{uuid.uuid4().hex[:8]}", registry, engine)
    yield made
    for name in sorted({*made.programs(), "shipper"}):
        stop_and_remove_program(stack, name)
    dynamic = stack.root / "envoy" / "dynamic"
    for file, document in (
        ("cds", cluster_document([], [])),
        ("rds", {"version_info": "0", "resources": [no_routes()]}),
    ):
        new = dynamic / f"{file}.new"
        new.write_text(json.dumps(document))
        new.replace(dynamic / f"{file}.json")
    (stack.root / "run" / "serving.json").unlink(missing_ok=True)


@pytest.fixture
def clients(shop: Shop) -> Iterator[Callable[[], None]]:
    """Return what starts clients that ask without a pause until the test ends."""
    done, threads = threading.Event(), list[threading.Thread]()

    def run() -> None:
        while not done.wait(0.01):
            shop.ask()

    def start() -> None:
        threads.extend(threading.Thread(target=run) for _ in range(3))
        for thread in threads:
            thread.start()

    yield start
    done.set()
    for thread in threads:
        thread.join()


def deploy_with_kills(shop: Shop, version: str) -> int:
    """Run controllers, each killed as soon as it has recorded something; return the last one's exit code."""
    code = None
    while code is None:
        code = deploy_until_the_next_step(shop, version, len(shop.rollout(version)))
    return code


def deploy_until_the_next_step(shop: Shop, version: str, known: int) -> int | None:
    """Kill a controller once there are more than `known` events; after the last one return its exit code instead."""
    process = shop.controller()
    try:
        wait_for(lambda: process.poll() is not None or len(shop.rollout(version)) > known, "a step", 40)
        ended = process.poll() is not None or shop.rollout(version)[-1] in FINAL
        return process.wait(30) if ended else None
    finally:
        process.kill()  # SIGKILL
        process.wait()


def test_a_controller_that_is_killed_after_every_step_still_promotes_and_no_request_is_lost(
    shop: Shop, clients: Callable[[], None]
) -> None:
    shop.approve("1")
    assert deploy_with_kills(shop, "1") == 0
    clients()
    shop.approve("2")
    assert deploy_with_kills(shop, "2") == 0
    assert shop.rollout("2") == [
        *STEPS,
        *STEPS[1:],
        (EventKind.ROLLOUT_PROMOTED, "intent"),
        (EventKind.ROLLOUT_PROMOTED, "done"),
    ]
    assert shop.read("stages") == {"1": "Archived", "2": "Production"}
    assert shop.read("aliases") == {"champion": "2"}
    assert shop.programs() == {f"scorer-{shop.name}-v2", f"agent-{shop.name}-v2"}
    assert set(shop.codes) == {200}
    assert shop.versions["1"] > 100
    assert shop.versions["2"] > 100


def test_a_rollback_takes_all_traffic_back_at_once_though_the_controller_is_killed_after_every_step(
    shop: Shop, clients: Callable[[], None]
) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    clients()
    shop.approve("2")
    assert shop.controller().wait(60) == 0
    shop.go_back("1", "2")
    assert deploy_with_kills(shop, "1") == 0
    promoted = [(EventKind.ROLLOUT_PROMOTED, "intent"), (EventKind.ROLLOUT_PROMOTED, "done")]
    assert shop.rollout("1") == [(EventKind.ROLLOUT_STARTED, None), *promoted] * 2
    assert shop.read("stages") == {"1": "Production", "2": "Archived"}
    assert shop.read("aliases") == {"champion": "1"}
    assert shop.programs() == {f"scorer-{shop.name}-v1", f"agent-{shop.name}-v1"}
    assert set(shop.codes) == {200}


def test_a_controller_that_is_killed_after_every_step_still_rolls_back_and_no_request_is_lost(
    shop: Shop, clients: Callable[[], None]
) -> None:
    shop.approve("1")
    assert shop.controller().wait(60) == 0
    clients()
    shop.approve("2", failing=True)
    assert deploy_with_kills(shop, "2") == 3
    back = [(EventKind.ROLLOUT_ROLLED_BACK, "intent"), (EventKind.ROLLOUT_ROLLED_BACK, "done")]
    assert shop.rollout("2") == [*STEPS, *back]
    assert shop.read("stages") == {"1": "Production", "2": "Archived"}
    assert shop.read("aliases") == {"champion": "1"}
    assert shop.programs() == {f"scorer-{shop.name}-v1", f"agent-{shop.name}-v1"}
    assert set(shop.codes) == {200}
    assert set(shop.versions) == {"1"}
