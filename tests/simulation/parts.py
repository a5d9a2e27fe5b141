"""What a controller talks to: its ledger, the registry, the target and the journal, each of which may fail."""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploy.desired import PRODUCTION, Served
from deploy.loop.interfaces import Condition, Readiness
from deploy.shares import CHALLENGER, CHAMPION, SHADOW, ArmCounts, Share
from flywheel.errors import IntegrityError, TransientError
from flywheel.events import Event, EventKind
from flywheel.identities import CONTROLLER
from flywheel.rollout_spec import Rollout as RolloutSpec
from tests.simulation.gate import Gate
from tests.simulation.plane import BOUNDS, Plane
from tests.simulation.world import Crash, World

START_TICKS = 180


class SessionLedger:
    """The chain through one session of Postgres: who lost it appends nothing, and leads again only with the lock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.read_first = 0

    def read(self) -> list[Event]:
        self._world.reach("postgres")
        if self._world.leader not in {None, self}:
            raise TransientError("Another controller leads.")
        if self._world.leader is None:
            self._world.count("leader changed")
        self._world.leader = self
        kept = [
            one for one in self._world.events if one.kind == EventKind.TRANSITION or one.kind.startswith("rollout.")
        ]
        self.read_first = self.read_first or len(self._world.events)
        return kept

    def record(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        self._world.effect("postgres", f"record {kind}", lambda: self._append(kind, subject, body))

    def _append(self, kind: EventKind, subject: str, body: Mapping[str, Any]) -> None:
        if self._world.leader is not self:
            self._world.count("stale append refused")
            raise TransientError("The controller lost its connection to Postgres, and the lead with it.")
        self._world.append(kind, subject, CONTROLLER, body)


class DoorRegistry:
    """The registry as the controller reaches it: through the gate."""

    def __init__(self, world: World, gate: Gate) -> None:
        self._world, self._gate = world, gate

    def stages(self, usecase: str, versions: Iterable[str]) -> dict[str, str]:
        self._world.reach("registry")
        return {version: self._world.stages[usecase, version] for version in versions}

    def set_alias(self, usecase: str, alias: str, version: str | None) -> None:
        self._world.reach("registry")
        if self._world.aliases.get((usecase, alias)) != version:
            name = f"alias {alias}" if version else f"no alias {alias}"
            self._world.effect("registry", name, lambda: self._gate.alias(usecase, alias, version))

    def go_back(self, served: Served, reason: str) -> None:
        raise AssertionError(f"nothing turns bad after its promotion here: {served}, {reason}")

    def archive(self, served: Served, reason: str) -> None:
        assert reason
        self._world.reach("registry")
        if self._world.stages[served.usecase, served.version] == PRODUCTION:
            self._world.effect("registry", "archive", lambda: self._archive(served))

    def _archive(self, served: Served) -> None:
        assert self._gate.move(CONTROLLER, served.usecase, served.version, "Archived")


class PlaneTarget:
    """The target's contract over the simulated plane."""

    def __init__(self, world: World, plane: Plane) -> None:
        self._world, self._plane = world, plane
        self.kept: set[Served] | None = None

    def spec(self, served: Served) -> RolloutSpec:
        self._world.reach("registry")
        self._check(served)
        return self._world.specs[served.usecase]

    def ensure(self, served: Served) -> Condition:
        plane, program = self._plane, self._plane.programs.get(served)
        if program is None:
            self._world.reach("registry")
            try:
                self._check(served)
            except IntegrityError as fault:
                return Condition(Readiness.FAILED, str(fault))
            self._world.effect("supervisor", "start", lambda: plane.start(served))
            return Condition(Readiness.STARTING)
        if plane.answers(served):
            return Condition(Readiness.READY)
        age = plane.ticks - program.since
        crashed = self._world.nature(served).crashes and age >= 1
        late = plane.ticks - (program.dead_since or program.since) > START_TICKS
        if crashed or late:
            return Condition(Readiness.FAILED, "It did not start. The end of its log: no such column.")
        return Condition(Readiness.STARTING)

    def route(self, shares: Sequence[Share]) -> set[str]:
        self._admin()
        plane = self._plane
        for share in shares:
            usecase = share.champion.usecase
            if share != plane.file.get(usecase) and self._may_route(share, plane.file.get(usecase)):
                self._world.effect("gateway", f"route {len(share.challengers)}", lambda one=share: self._write(one))  # type: ignore[misc]
        return {one.champion.usecase for one in shares if self._in_force(one)}

    def healthy(self, usecase: str) -> frozenset[str]:
        self._admin()
        mine = [served for served in self._plane.programs if served.usecase == usecase]
        return frozenset(served.version for served in mine if self._plane.healthy(served))

    def counts(self, share: Share) -> dict[str, ArmCounts]:
        self._admin()
        arms = {CHAMPION: (share.champion.subject, "champion")}
        if share.challengers:
            arms |= {CHALLENGER: (f"{share.rollout}", "challenger"), SHADOW: (f"{share.rollout}", "shadow")}
        return {arm: self._counted(key) for arm, key in arms.items()}

    def retire(self, keep: set[Served], apart: frozenset[str] = frozenset()) -> bool:
        self._admin()
        plane, self.kept = self._plane, keep
        routed = {one for share in (*plane.file.values(), *plane.in_force.values()) for one in versions(share)}
        wanted = {served.usecase for served in keep}
        gone = [one for one in plane.programs if one not in keep and one.usecase not in apart]
        left = [one for one in gone if one.usecase in wanted or one not in routed]
        for served in left:
            if served in routed or plane.file != plane.in_force:
                plane.draining.discard(served)
            elif served not in plane.draining:
                plane.draining.add(served)
            else:
                self._world.effect("supervisor", "stop", lambda one=served: plane.stop(one))  # type: ignore[misc]
        return not left

    def remove(self, usecase: str) -> bool:
        self._admin()
        plane = self._plane
        if usecase in plane.file:
            self._world.effect("gateway", "withdraw", lambda: plane.write(usecase, None))
        return plane.file == plane.in_force and not any(one.usecase == usecase for one in plane.programs)

    def _check(self, served: Served) -> None:
        if self._world.digests[served.usecase, served.version] != served.digest:
            raise IntegrityError(f"Version {served.version} of '{served.usecase}' has other bytes than were approved.")

    def _admin(self) -> None:
        self._world.reach("gateway")
        if not self._plane.is_up:
            self._world.count("gateway did not answer")
            raise TransientError("The gateway's admin page does not answer.")

    def _may_route(self, share: Share, routed: Share | None) -> bool:
        """As deploy.local.routing.safe_split: what is new in a route must be healthy."""
        present = versions(routed) if routed else set()
        places = self._plane.programs
        if any(one not in places for one in versions(share)):
            return False
        return all(self._plane.healthy(one) for one in versions(share) - {share.previous} if one not in present)

    def _write(self, share: Share) -> None:
        self._plane.write(share.champion.usecase, share)
        if self._plane.taken_at <= self._plane.ticks:
            self._plane.in_force = dict(self._plane.file)

    def _in_force(self, share: Share) -> bool:
        usecase, plane = share.champion.usecase, self._plane
        return plane.in_force == plane.file and plane.file.get(usecase) == share

    def _counted(self, key: tuple[str, str]) -> ArmCounts:
        requests, errors, *slow = self._plane.counters.get(key, [0] * (2 + len(BOUNDS)))
        return ArmCounts(requests, errors, dict(zip(BOUNDS, slow, strict=True)), f"life {self._plane.lives}")


class FaultyDisk:
    """Syncs the journal as `os.fdatasync` does, unless it refuses or the controller dies with half a line written.

    Args:
        world: Whose log tells of it.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.mode: str | None = None

    def sync(self, descriptor: int) -> None:
        mode, self.mode = self.mode, None
        if mode is None:
            self._world.effect("disk", "look", lambda: None)
            return
        self._world.say(f"the disk fails the journal: {mode}")
        self._world.count(f"disk {mode}")
        if mode == "torn":
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 20)
            raise Crash
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def versions(share: Share) -> set[Served]:
    """Return the versions of a share."""
    return {one for one in (*share.arms.values(), share.previous) if one is not None}
