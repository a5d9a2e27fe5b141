"""A use case on a running stack whose registry is a folder: approving, going back, deploying, asking."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from deploy.gateway.clusters import cluster_document
from flywheel import events
from flywheel.connections import endpoints, secrets
from flywheel.digest import folder_digest
from flywheel.events import EventKind
from flywheel.profile import Reference
from flywheel.settings import Settings
from flywheel.stack.gateway import no_routes
from flywheel.stack.supervisor import program_states, stop_and_remove_program
from tests.deploy.conftest import ENVIRONMENT, ROOT
from tests.monitoring.flights_package import USE_CASE, write_model

REFERENCE = Reference(loss=0.6, standard_error=0.01, rows=100, roc_auc=0.5)
# A wide margin, so that a hundred requests decide; the digits of the steps do not matter here.
ROLLOUT = {"shadow": None, "steps": [10, 50], "margin": 0.2, "least_requests": 1, "max_minutes": 5, "bake": "0s"}


# Writes a model folder of a use case, given the document of its usecase.yaml.
Write = Callable[[Path, Mapping[str, Any]], Path]


def _without_a_model(folder: Path, document: Mapping[str, Any]) -> Path:
    return write_model(folder, REFERENCE, document)


@dataclass
class Shop:
    """A use case on the running stack, its folder of a registry, and what clients were answered."""

    settings: Settings
    name: str
    registry: Path
    engine: sa.Engine
    codes: Counter[int] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    write: Write = _without_a_model
    headers: dict[str, str] = field(default_factory=dict)  # what clients show at the door
    real: bool = False  # real workers and agents instead of tiny web servers
    way: Mapping[str, Any] = field(default_factory=lambda: ROLLOUT)  # how its versions take over
    deaths: Path | None = None  # where tests.deploy.deaths keeps what happened and where to die

    def approve(self, version: str, *, failing: bool = False) -> None:
        """Do what a reviewer's click does: a version in Production, and the event that carries its digest."""
        document = {**USE_CASE, "name": self.name, "rollout": dict(self.way)}
        folder = self.registry / version
        if not folder.exists():  # a version that was rolled back may be approved again, with the same bytes
            self.write(folder, document)
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
        """Start `flywheel deploy` for this use case."""
        return self.command("deploy", "--usecase", self.name, "--timeout", "240" if self.real else "60")

    def command(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start one of deploy's commands; it writes to controller.log."""
        home = {"FLYWHEEL_HOME": str(self.settings.root)}
        tiny = {"TINY_REGISTRY": str(self.registry), "TINY_USECASE": self.name}
        real = {"TINY_REAL": "1"} if self.real else {}
        deaths = {"TINY_DEATHS": str(self.deaths)} if self.deaths is not None else {}
        with (self.registry / "controller.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.deploy.deploy_tiny", *words],
                env={**ENVIRONMENT, **home, **tiny, **real, **deaths},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def programs(self) -> set[str]:
        return set(self.pids())

    def pids(self) -> dict[str, int | None]:
        """Return the processes of the versions' programs."""
        return {name: state.pid for name, state in program_states(self.settings).items() if self.name in name}

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

    def close(self) -> None:
        """Stop the use case's programs and route nothing."""
        for name in sorted({*self.programs(), "shipper", "exporter"}):
            stop_and_remove_program(self.settings, name)
        dynamic = self.settings.root / "envoy" / "dynamic"
        for file, document in (
            ("cds", cluster_document([], [])),
            ("rds", {"version_info": "0", "resources": [no_routes()]}),
        ):
            new = dynamic / f"{file}.new"
            new.write_text(json.dumps(document))
            new.replace(dynamic / f"{file}.json")
        (self.settings.root / "run" / "serving.json").unlink(missing_ok=True)


def open_shop(settings: Settings, name: str, registry: Path) -> Shop:
    """Begin with an empty registry in a new folder."""
    registry.mkdir()
    for file in ("stages", "aliases"):
        (registry / f"{file}.json").write_text("{}")
    return Shop(
        settings, name, registry, sa.create_engine(secrets(settings).databases["server"], poolclass=sa.NullPool)
    )
