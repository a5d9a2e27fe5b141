"""The local target: a version is programs of the supervisor, and traffic is two files that Envoy watches.

What runs is asked of the supervisor, what is routed is read from the route file, who is healthy is asked of Envoy; the
only memory is `HOME/run/serving.json` (see `places`). So any call may be repeated, also after a crash. What is routed
is never stopped: only a route that leads elsewhere, or `flywheel undeploy`, makes a version stop.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deploy.desired import Served
from deploy.gateway.admin import Counts, Gateway
from deploy.gateway.arms import arm_counts
from deploy.local.capacity import check_section, memory_mb
from deploy.local.places import Place, Places, Role
from deploy.local.routing import Routing, split_of
from deploy.local.safe_default import SafeDefaults, check_declared
from deploy.local.startup import ENDED, Startup
from deploy.local.upkeep import Upkeep, Wanted
from deploy.loop.interfaces import Condition, Readiness
from deploy.packages import Packages
from deploy.shares import ArmCounts, Share
from flywheel.errors import IntegrityError
from flywheel.package import read_package
from flywheel.rollout_spec import Rollout as RolloutSpec
from flywheel.serving import EnvManager, load_serving
from flywheel.settings import Settings
from flywheel.stack.supervisor import program_states, start_program

RESTART_SECONDS = 30.0
DRAIN_SECONDS = 60.0


@dataclass
class Times:
    """Since when (seconds of the clock) something drains, and when a version was last restarted."""

    restarted: dict[Served, float] = field(default_factory=dict)
    draining: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What `flywheel deploy --env-manager` says, against serving.yaml: of one use case, or of all (None)."""

    env_manager: EnvManager
    usecase: str | None = None


class LocalTarget:
    """Supervisor programs and Envoy files of one home. Not for several threads.

    Args:
        settings: Whose home.
        gateway: Its Envoy.
        packages: The approved packages.
        clock: Monotonic seconds.
        told: Holds for the versions that this target brings up, until it is told otherwise; None: what held.
    """

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        packages: Packages,
        clock: Callable[[], float] = time.monotonic,
        *,
        told: Told | None = None,
    ) -> None:
        self._told = told
        self._settings = settings
        self._packages = packages
        self._clock = clock
        self._routing = Routing(settings, gateway)
        self._places = Places(settings.root / "run" / "serving.json")
        self._upkeep = Upkeep(settings, self._places, clock)
        self._defaults = SafeDefaults(settings, packages)
        self._memory_mb = memory_mb()
        self._startup = Startup(settings.root / "logs", clock)
        self._times = Times()

    def spec(self, served: Served) -> RolloutSpec:
        """Fetch and verify a package, and return how its use case wants to be rolled out.

        Raises:
            IntegrityError: The bytes are not those that were approved.
        """
        return read_package(self._packages.fetch(served)).usecase.rollout

    def ensure(self, served: Served) -> Condition:
        """Start a version unless it runs, bring it closer to what serving.yaml asks, and say how far it is.

        Raises:
            SpecError: serving.yaml is wrong; what runs goes on.
            TransientError: The registry or the supervisor does not answer; nothing is known about the version.
        """
        self._upkeep.run_node()
        place = self._place(served)
        try:
            # What has agents was verified when they were started, and each agent checks the bytes it loads.
            folder = self._packages.place(served) if place.agents else self._packages.fetch(served)
        except IntegrityError as fault:
            return Condition(Readiness.FAILED, str(fault))
        serving = load_serving(self._settings.root)
        section = serving.of(served.usecase)
        check_declared(self._settings, section, folder)
        check_section(served.usecase, section, self._memory_mb)
        wanted = Wanted(
            served,
            folder,
            section.model_copy(update={"env_manager": place.env_manager or section.env_manager}),
            serving.observability,
            frozen=self._is_compared(served),
        )
        place = self._upkeep.bring(place, wanted)
        return replace(self._condition(place), serving=summary(place))

    def route(self, shares: Sequence[Share]) -> set[str]:
        """Bring traffic closer to these shares: clusters, then health, then routes.

        Returns:
            The use cases for which the gateway has confirmed exactly the share that was asked for.

        Raises:
            TransientError: The gateway does not answer, or refuses a document.
        """
        self._upkeep.tell_prometheus()
        # Envoy needs addresses: a version whose backend is still being measured has none.
        places = {key: one for key, one in self._places.read().items() if one.agents}
        defaults = self._defaults.bring([share.champion for share in shares])
        return self._routing.bring(shares, places, defaults)

    def healthy(self, usecase: str) -> frozenset[str]:
        """Return the versions that pass the gateway's health checks.

        Raises:
            TransientError: The gateway does not answer.
        """
        healthy = self._routing.healthy()
        places = [place for place in self._places.read().values() if place.served.usecase == usecase]
        return frozenset(place.served.version for place in places if place.backend.cluster in healthy)

    def counts(self, share: Share) -> dict[str, ArmCounts]:
        """Count each arm of a share since the gateway knows it.

        Raises:
            TransientError: The gateway does not answer.
        """
        split = split_of(share, self._places.read())
        return {} if split is None else arm_counts(split, self._routing.counts())

    def retire(self, keep: set[Served], apart: frozenset[str] = frozenset()) -> bool:
        """Stop what is not kept, once no route leads to it and its last request is answered.

        A version that is routed though nothing of its use case is kept is the last of it: it stays. So does all of
        the use cases that are kept `apart`.

        Raises:
            TransientError: The gateway does not answer.
        """
        self._upkeep.tidy()
        places = list(self._places.read().values())
        rolling = [place for place in places if any(one.role is not Role.SERVING for one in place.agents)]
        for place in rolling:
            self._stop_leaving(place)
        routed, wanted = self._routing.clusters(), {served.usecase for served in keep}
        self._defaults.settle(routed)
        leaving = [
            place
            for place in places
            if place.served not in keep
            and place.served.usecase not in apart
            and (place.served.usecase in wanted or place.backend.cluster not in routed)
        ]
        if leaving and self._routing.routes_confirmed():
            counts = self._routing.counts()
            for place in leaving:
                self._stop_drained(place, counts.get(place.backend.cluster, Counts()), routed)
        return not leaving and not rolling

    def remove(self, usecase: str) -> bool:
        """Take a use case out of traffic; True once nothing of it is routed or runs. `retire` stops its versions.

        Raises:
            TransientError: The gateway does not answer.
        """
        self._routing.withdraw(usecase)
        running = any(place.served.usecase == usecase for place in self._places.read().values())
        return not running and self._routing.routes_confirmed()

    def _place(self, served: Served) -> Place:
        """Return the place of a version, as told; a new one where it has none, or where nothing of it is left.

        What was measured of it stays known: it is a property of its bytes.
        """
        place = self._places.read().get(served.subject, Place(served))
        if place.served != served:
            self._stop(place)  # the same version number with other bytes: a registry that was made anew
            place = Place(served)
        self._startup.begin(served)
        if place != Place(served) and not set(place.programs) & set(program_states(self._settings)):
            known = place.choice if place.choice is not None and place.choice.backend is not None else None
            place = Place(served, choice=known, env_manager=place.env_manager)
        told = self._told
        if told is None or told.usecase not in {None, served.usecase}:
            return place
        return replace(place, env_manager=told.env_manager)

    def _is_compared(self, served: Served) -> bool:
        split = self._routing.splits().get(served.usecase)
        return split is not None and split.challenger is not None and split.percent > 0

    def _condition(self, place: Place) -> Condition:
        states = program_states(self._settings)
        condition = self._startup.judge(place, states)
        ended = [name for name in place.programs if name in states and states[name].state in ENDED]
        if ended:
            self._restart(place.served, ended)
        return condition

    def _restart(self, served: Served, names: list[str]) -> None:
        """Try again now and then what the supervisor has given up on; it may be the champion."""
        if self._clock() - self._times.restarted.get(served, float("-inf")) < RESTART_SECONDS:
            return
        self._times.restarted[served] = self._clock()
        for name in names:
            start_program(self._settings, name)

    def _stop_leaving(self, place: Place) -> None:
        """Stop agents that others have replaced, once the gateway has confirmed that it sends them nothing."""
        for agent in place.agents:
            if agent.role is Role.LEAVING and self._routing.agents_confirmed():
                key = f"{place.served.subject}:{agent.http}"
                first = key not in self._times.draining
                self._times.draining.setdefault(key, self._clock())
                if not first:  # Envoy's workers hear of a change a moment later than its main thread confirms it
                    place = self._upkeep.stop_agent(place, agent)
                    self._times.draining.pop(key)

    def _stop_drained(self, place: Place, counts: Counts, routed: set[str]) -> None:
        """Stop a version with nothing in flight. Never at the first asking: workers may still hold old routes."""
        key = place.served.subject
        if place.backend.cluster in routed:
            self._times.draining.pop(key, None)
            return
        first = key not in self._times.draining
        since = self._times.draining.setdefault(key, self._clock())
        if not first and (counts.active == 0 or self._clock() - since > DRAIN_SECONDS):
            self._stop(place)

    def _stop(self, place: Place) -> None:
        self._upkeep.stop(place)
        self._times.draining.pop(place.served.subject, None)
        self._startup.forget(place.served)


def summary(place: Place) -> dict[str, Any]:
    """Say how a version is served, for people and for the record: backend, agents, workers, why."""
    serving = sum(one.role is Role.SERVING for one in place.agents)
    choice = place.choice
    if choice is None:
        why = place.waits or "Being measured."
        return {"backend": None, "replicas": serving, "workers": len(place.workers), "why": why}
    why = " ".join(dict.fromkeys(filter(None, (choice.reason, place.waits))))  # what failed may be both
    found = {"backend": choice.backend, "replicas": serving, "workers": len(place.workers), "why": why}
    return {**found, "numbers": dict(choice.numbers)}
