"""The local target: a version is two programs of the supervisor, and traffic is two files that Envoy watches.

What runs is asked of the supervisor, what is routed is read from the route file, who is healthy is asked of Envoy: the
only memory of its own is `HOME/run/serving.json`, with the ports. So any call may be repeated, also after a crash.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.controller import Condition, Readiness
from deploy.desired import Served
from deploy.gateway.admin import Counts, Gateway, arm_look
from deploy.gateway.routes import (
    Backend,
    Replica,
    Split,
    cluster_document,
    fallback_cluster,
    read_splits,
    route_document,
    write_document,
)
from deploy.packages import Packages
from deploy.rollout import Share
from deploy.verdict import Look
from flywheel.connections import write_private
from flywheel.errors import FlywheelError, IntegrityError, TransientError
from flywheel.package import read_package
from flywheel.settings import Settings
from flywheel.stack.ports import free_port, is_free
from flywheel.stack.probes import healthy
from flywheel.stack.supervisor import Program, program_states, start_program, stop_and_remove_program, write_program
from flywheel.usecase import Rollout as RolloutSpec

START_SECONDS = 180.0
RESTART_SECONDS = 30.0
DRAIN_SECONDS = 60.0
TAIL_LINES = 8
SHIPPER = "shipper"


@dataclass(frozen=True)
class Place:
    """Where a version runs: its pinned identity and its two ports."""

    served: Served
    agent: int
    scorer: int

    @property
    def backend(self) -> Backend:
        """What the gateway needs to know of it."""
        return Backend(self.served.usecase, self.served.version, (Replica(self.agent),))


class LocalTarget:
    """Supervisor programs and Envoy files of one home. Not for several threads."""

    def __init__(
        self, settings: Settings, gateway: Gateway, packages: Packages, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._packages = packages
        self._clock = clock
        self._waiting_since: dict[Served, float] = {}
        self._restarted: dict[Served, float] = {}
        self._draining_since: dict[Served, float] = {}

    def spec(self, served: Served) -> RolloutSpec:
        """Fetch and verify a package, and return how its use case wants to be rolled out.

        Raises:
            IntegrityError: The bytes are not those that were approved.
        """
        return read_package(self._packages.fetch(served)).usecase.rollout

    def ensure(self, served: Served) -> Condition:
        """Start a version unless it runs, and say how far it is.

        Raises:
            TransientError: The registry or the supervisor does not answer; nothing is known about the version.
        """
        since = self._waiting_since.setdefault(served, self._clock())
        place = self._places().get(served.subject)
        states = program_states(self._settings)
        if SHIPPER not in states:
            write_program(self._settings, _shipper(self._settings))
            start_program(self._settings, SHIPPER)
        names = program_names(served)
        if place is None or place.served != served or not set(names) <= set(states):
            return self._start(served, place)
        ended = [name for name in names if states[name].state in {"FATAL", "EXITED", "STOPPED"}]
        if ended:
            self._restart(served, ended)
            return Condition(Readiness.FAILED, f"{ended[0]} ended by itself. {self._tail(ended[0])}")
        if healthy(f"http://127.0.0.1:{place.agent}/ping") is None:
            del self._waiting_since[served]
            return Condition(Readiness.READY)
        if self._clock() - since > START_SECONDS:
            reason = f"{names[0]} did not answer within {START_SECONDS:.0f} seconds."
            return Condition(Readiness.FAILED, f"{reason} {self._tail(names[0])}")
        return Condition(Readiness.STARTING)

    def route(self, shares: Sequence[Share]) -> set[str]:
        """Bring traffic closer to these shares: clusters, then health, then routes.

        Returns:
            The use cases for which the gateway has confirmed exactly the share that was asked for.

        Raises:
            TransientError: The gateway does not answer, or refuses a document.
        """
        places, routed = self._places(), read_splits(self._routes)
        wanted = {share.champion.usecase: split for share in shares if (split := _split(share, places)) is not None}
        clusters = cluster_document([place.backend for place in places.values()], [*routed.values(), *wanted.values()])
        write_document(self._clusters, clusters)
        accepted = self._gateway.accepted()
        if accepted.rejected:
            raise TransientError(f"The gateway refuses the routes: {accepted.rejected}. See logs/gateway.log.")
        if accepted.clusters == clusters["version_info"] and not accepted.warming:
            healthy = self._gateway.healthy()
            routed |= {
                name: best for name, one in wanted.items() if (best := safe_split(one, routed.get(name), healthy))
            }
            if routed:
                write_document(self._routes, route_document(list(routed.values())))
        confirmed = self._gateway.accepted().routes == route_document(list(routed.values()))["version_info"]
        return {name for name, split in wanted.items() if confirmed and routed.get(name) == split}

    def healthy(self, usecase: str) -> frozenset[str]:
        """Return the versions that pass the gateway's health checks.

        Raises:
            TransientError: The gateway does not answer.
        """
        healthy = self._gateway.healthy()
        places = [place for place in self._places().values() if place.served.usecase == usecase]
        return frozenset(place.served.version for place in places if place.backend.cluster in healthy)

    def look(self, share: Share) -> Look:
        """Count both arms of a share since the gateway knows them.

        Raises:
            TransientError: The gateway does not answer.
        """
        counts, split = self._gateway.counts(), _split(share, self._places())
        if split is None or split.challenger is None:
            return Look(0, 0, 0, 0)
        aggregate = fallback_cluster(split.challenger)
        champion, both, canary = (
            counts.get(name, Counts()) for name in (split.champion.cluster, aggregate, split.challenger.cluster)
        )
        return arm_look(champion, both, canary)

    def retire(self, keep: set[Served]) -> bool:
        """Stop what is not kept, once no route leads to it and its last request is answered.

        Raises:
            TransientError: The gateway does not answer.
        """
        places = self._places()
        leaving = [place for place in places.values() if place.served not in keep]
        if not leaving:
            return True
        routed = read_splits(self._routes)
        if self._gateway.accepted().routes != route_document(list(routed.values()))["version_info"] and routed:
            return False
        in_use = {backend for split in routed.values() for backend in (split.champion, split.challenger)}
        counts = self._gateway.counts()
        for place in leaving:
            if place.backend not in in_use and self._is_drained(place, counts.get(place.backend.cluster, Counts())):
                self._stop(place)
        return False

    def _start(self, served: Served, place: Place | None) -> Condition:
        try:
            folder = self._packages.fetch(served)
        except IntegrityError as fault:
            return Condition(Readiness.FAILED, str(fault))
        if place is not None and place.served != served:
            self._stop(place)  # the same version number with other bytes: a registry that was made anew
        place = self._settle(served)
        for program in programs(self._settings, place, folder):
            write_program(self._settings, program)
            start_program(self._settings, program.name)
        return Condition(Readiness.STARTING)

    def _settle(self, served: Served) -> Place:
        """Give a version its ports: the remembered ones while they are free."""
        places = self._places()
        known = places.get(served.subject)
        if known is not None and is_free(known.agent) and is_free(known.scorer):
            return known
        taken = {port for one in places.values() for port in (one.agent, one.scorer)}
        agent = free_port(taken)
        place = Place(served, agent, free_port({*taken, agent}))
        self._remember({**places, served.subject: place})
        return place

    def _restart(self, served: Served, names: list[str]) -> None:
        """Try again now and then what the supervisor has given up on; it may be the champion."""
        if self._clock() - self._restarted.get(served, float("-inf")) < RESTART_SECONDS:
            return
        self._restarted[served] = self._clock()
        for name in names:
            start_program(self._settings, name)

    def _stop(self, place: Place) -> None:
        for name in reversed(program_names(place.served)):
            stop_and_remove_program(self._settings, name)
        self._remember({key: one for key, one in self._places().items() if key != place.served.subject})
        self._draining_since.pop(place.served, None)
        self._waiting_since.pop(place.served, None)

    def _is_drained(self, place: Place, counts: Counts) -> bool:
        """Say whether nothing is in flight. Never at the first asking: workers may still hold old routes."""
        first = place.served not in self._draining_since
        since = self._draining_since.setdefault(place.served, self._clock())
        return not first and (counts.active == 0 or self._clock() - since > DRAIN_SECONDS)

    def _tail(self, program: str) -> str:
        path = self._settings.root / "logs" / f"{program}.log"
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            return f"It has written no log at {path}."
        # A program that is restarted repeats itself: each line once, in order of its last appearance.
        distinct = list(dict.fromkeys(reversed(lines)))[:TAIL_LINES]
        return "The end of its log:\n" + "\n".join(reversed(distinct))

    def _places(self) -> dict[str, Place]:
        try:
            entries = json.loads(self._memory.read_text())
            return {key: Place(Served(**one["served"]), one["agent"], one["scorer"]) for key, one in entries.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as fault:
            raise FlywheelError(
                f"{self._memory} is damaged. Run `flywheel down`, remove it, and `flywheel up`."
            ) from fault

    def _remember(self, places: dict[str, Place]) -> None:
        entries = {
            key: {"served": vars(place.served), "agent": place.agent, "scorer": place.scorer}
            for key, place in sorted(places.items())
        }
        write_private(self._memory, json.dumps(entries, indent=1))

    @property
    def _memory(self) -> Path:
        return self._settings.root / "run" / "serving.json"

    @property
    def _clusters(self) -> Path:
        return self._settings.root / "envoy" / "dynamic" / "cds.json"

    @property
    def _routes(self) -> Path:
        return self._settings.root / "envoy" / "dynamic" / "rds.json"


def program_names(served: Served) -> tuple[str, str]:
    """Return the names of a version's scorer and agent, in the order in which they start."""
    return f"scorer-{served.usecase}-v{served.version}", f"agent-{served.usecase}-v{served.version}"


def _shipper(settings: Settings) -> Program:
    return Program(SHIPPER, [sys.executable, "-m", "deploy.log.shipper", "--home", str(settings.root)])


def programs(settings: Settings, place: Place, folder: Path) -> tuple[Program, Program]:
    """Return a version's scorer and agent, in the order in which they start; `folder` is its verified package."""
    served, (scorer, agent) = place.served, program_names(place.served)
    # Bytecode written beside the model would change the digest of its folder.
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    # One thread a version, and none that spins while it waits: on two shared cores spinning cost a factor of ten.
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
    serve += ["-h", "127.0.0.1", "-p", str(place.scorer), "--workers", "1"]
    spool = settings.root / "spool" / f"{served.usecase}-v{served.version}"
    speak = [sys.executable, "-m", "deploy.agent", "--package", str(folder), "--usecase", served.usecase]
    speak += ["--version", served.version, "--digest", served.digest, "--spool", str(spool)]
    speak += ["--scorer", f"http://127.0.0.1:{place.scorer}", "--port", str(place.agent)]
    return Program(scorer, serve, environment | threads), Program(agent, speak, environment)


def _split(share: Share, places: dict[str, Place]) -> Split | None:
    champion = places.get(share.champion.subject)
    challenger = places.get(share.challenger.subject) if share.challenger else None
    if champion is None or (share.challenger is not None and challenger is None):
        return None
    return Split(champion.backend, challenger.backend if challenger else None, share.percent, share.rollout)


def safe_split(wanted: Split, routed: Split | None, healthy: set[str]) -> Split | None:
    """Return the split that may be routed now: the wanted one when all that is new in it is healthy.

    Where nothing is routed yet, the champion alone is better than nothing. Going back to the champion alone needs no
    health: nothing that takes traffic is new in it.
    """
    if wanted == routed:
        return wanted
    present = {routed.champion, routed.challenger} if routed else set()
    new = [one for one in (wanted.champion, wanted.challenger) if one is not None and one not in present]
    if all(one.cluster in healthy for one in new):
        return wanted
    alone = Split(wanted.champion)
    return alone if routed is None and wanted.champion.cluster in healthy else routed
