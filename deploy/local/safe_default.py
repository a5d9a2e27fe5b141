"""Runs the declared safe default of each use case: one agent that answers what serving.yaml says, if nobody else can.

It checks rows by the contract of the champion, whose stand-in it is. When champion or answer change it is started anew,
after the routes have changed and on the same ports: it is missing for a second or two, which somebody notices only if
at that very moment neither champion nor previous version can answer. HOME/run/defaults.json remembers the ports.
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from deploy.agent.backends.constant import declared_outputs
from deploy.desired import Served
from deploy.gateway.traffic import Backend, Replica
from deploy.local.programs import ENVIRONMENT, NOT_THE_AGENTS
from deploy.packages import Packages
from flywheel.connections import write_private
from flywheel.errors import IntegrityError, SpecError, StackError
from flywheel.serving import NAME, SAFE_DEFAULT, Serving, UseCaseServing, load_serving
from flywheel.settings import Settings
from flywheel.stack.ports import free_port
from flywheel.stack.supervisor import (
    Program,
    program_states,
    start_program,
    stop_and_remove_program,
    write_program,
)


@dataclass(frozen=True)
class Kept:
    """What is remembered of a default that was started: its ports, and a digest of what it was started with."""

    http: int
    grpc: int
    spec: str


K = TypeVar("K", Kept, None)


class SafeDefaults:
    """The defaults of one home. Not for several threads."""

    def __init__(self, settings: Settings, packages: Packages) -> None:
        self._settings = settings
        self._packages = packages
        self._path = settings.root / "run" / "defaults.json"
        self._wanted: dict[str, list[str]] | None = None
        self._unsound: set[str] = set()

    def bring(self, champions: Iterable[Served]) -> dict[str, Backend]:
        """Start the defaults that are declared and do not run yet; return all that are declared, by use case.

        No change of routes waits for one: what runs with a former answer goes on until `settle`, and while serving.yaml
        is wrong or the supervisor does not answer nothing new is started.
        """
        kept = self._read()
        try:
            serving = load_serving(self._settings.root)
        except SpecError:
            return {name: _backend(name, one) for name, one in kept.items()}
        every = list(champions)
        self._unsound = {one.usecase for one in every if not self._is_sound(one, serving)}
        self._wanted = {
            one.usecase: command
            for one in every
            if one.usecase not in self._unsound and (command := self._command(one, serving)) is not None
        }
        for name, command in self._wanted.items():
            if name not in kept:
                http = free_port({port for one in kept.values() for port in (one.http, one.grpc)})
                kept[name] = self._keep(name, Kept(http, free_port({http}), _digest(command)))
            with suppress(StackError):
                if _program_name(name) not in program_states(self._settings):
                    self._run(name, kept[name], command)
        return {name: _backend(name, kept[name]) for name in kept if name in {*self._wanted, *self._unsound}}

    def settle(self, routed: set[str]) -> None:
        """Start anew what has changed, and stop what is not declared any more and gets no requests.

        Args:
            routed: Names of the clusters that routes lead to.

        Raises:
            StackError: The supervisor does not answer.
        """
        if self._wanted is None:  # nothing is known yet: a controller that has just started
            return
        for name, one in self._read().items():
            if name in self._unsound:  # what it was goes on
                continue
            command, is_routed = self._wanted.get(name), _backend(name, one).cluster in routed
            if is_routed if command is None else one.spec == _digest(command):
                continue
            stop_and_remove_program(self._settings, _program_name(name))
            if command is None:
                self._keep(name, None)
            else:
                self._run(name, self._keep(name, replace(one, spec=_digest(command))), command)

    def _is_sound(self, champion: Served, serving: Serving) -> bool:
        """Say whether the declared answer is one that the champion could give."""
        try:
            check_declared(self._settings, serving.of(champion.usecase), self._packages.place(champion))
        except (SpecError, IntegrityError):
            return False
        return True

    def _command(self, champion: Served, serving: Serving) -> list[str] | None:
        """Return what starts a use case's default, but for its ports; None where none is declared."""
        ours = serving.of(champion.usecase)
        if ours.fallback is None:
            return None
        folder = self._packages.place(champion)
        name = f"{champion.usecase}-v{SAFE_DEFAULT}"
        found = [sys.executable, "-m", "deploy.agent", "--package", str(folder), "--digest", champion.digest]
        found += ["--usecase", champion.usecase, "--version", SAFE_DEFAULT, "--backend", "constant"]
        found += ["--answer", json.dumps(ours.fallback.answer)]
        found += ["--spool", str(self._settings.root / "spool" / name)]
        found += ["--outcomes", str(self._settings.root / "outcomes" / name)]
        return [*found, "--serving", ours.model_dump_json(exclude=NOT_THE_AGENTS)]

    def _run(self, usecase: str, kept: Kept, command: list[str]) -> None:
        ports = ["--port", str(kept.http), "--grpc-port", str(kept.grpc)]
        address = f"http://127.0.0.1:{kept.http} (the declared safe default)"
        program = Program(_program_name(usecase), [*command, *ports], ENVIRONMENT, address=address)
        write_program(self._settings, program)
        start_program(self._settings, program.name)

    def _read(self) -> dict[str, Kept]:
        try:
            return {name: Kept(**values) for name, values in json.loads(self._path.read_text()).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # it can be started anew

    def _keep(self, usecase: str, kept: K) -> K:
        """Remember a default, or None: forget it."""
        others = {name: one for name, one in self._read().items() if name != usecase}
        everything = others if kept is None else {**others, usecase: kept}
        entries = {name: asdict(one) for name, one in sorted(everything.items())}
        write_private(self._path, json.dumps(entries, indent=1))
        return kept


def check_declared(settings: Settings, ours: UseCaseServing, package: Path) -> None:
    """Check that the declared default is an answer that a version could give.

    Raises:
        SpecError: It is not.
    """
    if ours.fallback is None:
        return
    try:
        declared_outputs(package, ours.fallback.answer)
    except SpecError as fault:
        raise SpecError(f"{settings.root / NAME}: {fault}") from fault


def _backend(usecase: str, kept: Kept) -> Backend:
    return Backend(usecase, SAFE_DEFAULT, (Replica(kept.http, kept.grpc),))


def _program_name(usecase: str) -> str:
    return f"agent-{usecase}-v{SAFE_DEFAULT}"


def _digest(command: list[str]) -> str:
    return hashlib.sha256("\0".join(command).encode()).hexdigest()[:16]
