"""Runs a command of deploy with two parts exchanged: versions are tiny web servers, and the registry is a folder.

Everything else is real: the audit trail and the leader's lock in Postgres, the supervisor, the gateway, the digests.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import deploy.local.programs
import deploy.local.staying
import deploy.versions
from deploy.cli import app
from deploy.desired import Served
from deploy.local.places import Agent, Worker, program_name
from deploy.local.programs import Version
from deploy.loop.ledger import PostgresLedger
from flywheel.events import Event
from flywheel.settings import Settings, load_settings
from flywheel.stack.signing_keys import PRIVATE_KEY
from flywheel.stack.supervisor import Program
from registry.signing.signer import configured_signer, sign_folder
from tests.deploy.deaths import EFFECTS, POINTS, Deaths, install

AGENT = """
import sys
from aiohttp import web
version, port, failing = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "failing"
async def answer(request):
    return web.json_response({"version": version}, status=503 if failing else 200)
async def ping(request):
    return web.Response(text="ok")
app = web.Application()
app.router.add_get("/ping", ping)
app.router.add_route("*", "/{rest:.*}", answer)
web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)
"""


class FolderRegistry:
    """`stages.json`, `aliases.json` and one model folder a version; written in one step, as a server would."""

    def __init__(self, tracking: object) -> None:
        del tracking
        self._folder = Path(os.environ["TINY_REGISTRY"])

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        del usecase
        found = self._read("stages")
        return {version: found[version] for version in versions if version in found}

    def undecided(self, usecase: str) -> str | None:
        del usecase
        newest, stage = max(self._read("stages").items(), key=lambda one: int(one[0]), default=("", ""))
        return newest if stage in {"None", "Staging"} else None

    def signature(self, usecase: str, version: str) -> str | None:
        """Sign as the server would, with the stack's own key."""
        del usecase
        signer = configured_signer({"FLYWHEEL_SIGNING_KEY": str(load_settings().root / PRIVATE_KEY)})
        return None if signer is None else sign_folder(self._folder / version, signer)

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        del usecase
        aliases = {name: at for name, at in self._read("aliases").items() if name != alias}
        self._write("aliases", aliases if version is None else {**aliases, alias: version})

    def archive(self, served: Served, reason: str) -> None:
        del reason
        self._write("stages", {**self._read("stages"), served.version: "Archived"})

    def download(self, usecase: str, version: str, folder: Path) -> Path:
        del usecase
        return Path(shutil.copytree(self._folder / version, folder))

    def _read(self, name: str) -> dict[str, str]:
        found: dict[str, str] = json.loads((self._folder / f"{name}.json").read_text())
        return found

    def _write(self, name: str, values: Mapping[str, str]) -> None:
        new = self._folder / f"{name}.new"
        new.write_text(json.dumps(values))
        new.replace(self._folder / f"{name}.json")


def tiny_worker(served: Served, worker: Worker, folder: Path, python: Path) -> Program:
    del folder, python
    return Program(program_name("scorer", served, worker.number), ["sleep", "infinity"])


def tiny_agent(settings: Settings, version: Version, agent: Agent) -> Program:
    del settings
    mood = "failing" if (version.folder / "failing").exists() else "sound"
    answer = [sys.executable, "-c", AGENT, version.served.version, str(agent.http), mood]
    return Program(program_name("agent", version.served, agent.number), answer)


read_all = PostgresLedger.read


def own_events(ledger: PostgresLedger) -> list[Event]:
    """Read and verify the whole trail, and return this use case's events.

    Other tests of the same stack record rollouts that no controller would.
    """
    return [event for event in read_all(ledger) if event.subject.startswith(f"{os.environ['TINY_USECASE']}/")]


if __name__ == "__main__":
    PostgresLedger.read = own_events  # type: ignore[assignment,method-assign]
    if "TINY_REAL" not in os.environ:
        deploy.local.programs.worker_program = tiny_worker
        deploy.local.programs.agent_program = tiny_agent
    # The controller that stays would ask the real registry, which knows nothing of these versions.
    deploy.local.staying.start_controller = lambda settings: None
    deploy.versions.MlflowRegistry = FolderRegistry  # type: ignore[assignment,misc]
    if "TINY_DEATHS" in os.environ:
        folder = Path(os.environ["TINY_DEATHS"])
        install(Deaths(folder / EFFECTS, folder / POINTS, os.environ["TINY_USECASE"]), FolderRegistry)
    app(sys.argv[1:])
