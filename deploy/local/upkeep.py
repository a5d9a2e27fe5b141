"""Has a version's programs run as its place says, and brings the place closer to serving.yaml, a step at a call."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from deploy.desired import Served
from deploy.local import plan, programs
from deploy.local.choice import Choice, choose, without_measuring
from deploy.local.measuring import Measuring
from deploy.local.places import Agent, Place, Places, program_name
from deploy.local.programs import EXPORTER, SHIPPER, Version
from deploy.targets import AgentTarget, write_targets
from flywheel.package import INSIDE
from flywheel.serving import Observability, UseCaseServing
from flywheel.settings import Settings
from flywheel.stack.ports import free_port, remembered_ports
from flywheel.stack.probes import healthy
from flywheel.stack.supervisor import (
    Program,
    program_address,
    program_states,
    start_program,
    stop_and_remove_program,
    write_program,
)


@dataclass(frozen=True)
class Wanted:
    """How a version should be served.

    Args:
        served: The version.
        folder: Its verified package.
        serving: Its part of serving.yaml.
        observability: Where its traces go.
        frozen: Whether a canary compares it: what runs then stays as it is, so that both arms stay comparable.
    """

    served: Served
    folder: Path
    serving: UseCaseServing
    observability: Observability
    frozen: bool = False

    def workers(self, choice: Choice) -> int:
        """Count MLflow's workers: none behind ONNX, which was just seen to answer alike; each costs 550 MB."""
        return self.serving.workers if choice.backend == "mlflow" else 0


class Upkeep:
    """The programs of one home. Not for several threads."""

    def __init__(self, settings: Settings, places: Places, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._places = places
        self._clock = clock
        self._measuring = Measuring()

    def bring(self, place: Place, wanted: Wanted) -> Place:
        """Do what can be done now, and return the place as it is then; a choice without a backend says why not."""
        place = self._chosen(place, wanted)
        choice = place.choice
        if choice is None or choice.backend is None:
            return place
        frozen = wanted.frozen and bool(place.agents)
        if not frozen:
            place = plan.with_workers(place, wanted.workers(choice), self._free)
        scorers = tuple(one.port for one in place.workers[: wanted.workers(choice)])
        version = Version(wanted.served, wanted.folder, choice.backend, scorers, wanted.serving, wanted.observability)
        if not frozen:
            place = plan.with_agents(place, version.spec, wanted.serving.replicas, self._free)
        place = self._without_lost(place, version.spec)
        if not frozen:
            place = plan.promoted(place, version.spec, {one.number for one in place.agents if answers(one)})
            place = self._without_workers(place, wanted.workers(choice))
        self._run_workers(place, wanted.folder)
        self._run_agents(place, version)
        return place

    def run_node(self) -> None:
        """Have the node's shipper and exporter run."""
        states = program_states(self._settings)
        if SHIPPER not in states:
            self._run(programs.shipper_program(self._settings))
        if EXPORTER not in states:
            self._run(programs.exporter_program(self._settings, self._free(set())))

    def tell_prometheus(self) -> None:
        """Name what is to be scraped now."""
        agents = [
            AgentTarget(place.served.usecase, place.served.version, agent.number, agent.http)
            for place in self._places.read().values()
            for agent in place.agents
        ]
        exporter, ports = urlsplit(program_address(self._settings, EXPORTER)).port, remembered_ports(self._settings)
        others = {"exporter": exporter, "gateway": ports.envoy_admin if ports else None}
        write_targets(self._settings, agents, {job: port for job, port in others.items() if port})

    def stop(self, place: Place) -> None:
        """Stop all programs of a version and forget its place."""
        self._measuring.drop(place.served)
        for name in reversed(place.programs):
            stop_and_remove_program(self._settings, name)
        self._places.forget(place)

    def stop_agent(self, place: Place, agent: Agent) -> Place:
        """Stop one agent, whose own drain answers what is in flight; return the place without it."""
        stop_and_remove_program(self._settings, program_name("agent", place.served, agent.number))
        place = replace(place, agents=tuple(one for one in place.agents if one != agent))
        self._places.keep(place)
        return place

    def _chosen(self, place: Place, wanted: Wanted) -> Place:
        """Choose a backend, which may need a worker and some seconds; until then the place is as it was."""
        asked = wanted.serving.backend
        if place.choice is not None and (wanted.frozen or place.choice.asked == asked):
            return place
        choice = without_measuring(asked, has_onnx=(wanted.folder / INSIDE / "model.onnx").is_file())
        if choice is None:
            place = plan.with_workers(place, 1, self._free)
            self._run_workers(place, wanted.folder)
            choice = self._measured(place, wanted)
        if choice is not None and choice.backend is None and place.choice is not None:
            choice = replace(place.choice, asked=asked, reason=choice.reason)  # it serves, and goes on as it does
        place = replace(place, choice=choice or place.choice)
        self._places.keep(place)
        return place

    def _measured(self, place: Place, wanted: Wanted) -> Choice | None:
        url = f"http://127.0.0.1:{place.workers[0].port}"
        if healthy(f"{url}/ping") is not None:
            return None
        measured = self._measuring.poll(wanted.served, wanted.folder, url, self._clock())
        return None if measured is None else choose(wanted.serving.backend, measured)

    def _without_lost(self, place: Place, spec: str) -> Place:
        """Leave out agents that are gone and could not be started again as they were."""
        states = program_states(self._settings)
        kept = [one for one in place.agents if one.spec == spec or self._name(place, one) in states]
        return replace(place, agents=tuple(kept))

    def _without_workers(self, place: Place, count: int) -> Place:
        smaller = plan.without_surplus(place, count)
        for worker in place.workers[len(smaller.workers) :]:
            stop_and_remove_program(self._settings, program_name("scorer", place.served, worker.number))
        return smaller

    def _run_workers(self, place: Place, folder: Path) -> None:
        self._places.keep(place)  # before anything starts: what a crash leaves must be known
        states = program_states(self._settings)
        for worker in place.workers:
            if program_name("scorer", place.served, worker.number) not in states:
                self._run(programs.worker_program(place.served, worker, folder))

    def _run_agents(self, place: Place, version: Version) -> None:
        states = program_states(self._settings)
        for agent in place.agents:
            if self._name(place, agent) not in states:
                self._run(programs.agent_program(self._settings, version, agent))

    def _run(self, program: Program) -> None:
        write_program(self._settings, program)
        start_program(self._settings, program.name)

    def _free(self, taken: set[int]) -> int:
        others = {port for place in self._places.read().values() for port in place.ports}
        return free_port(taken | others)

    def _name(self, place: Place, agent: Agent) -> str:
        return program_name("agent", place.served, agent.number)


def answers(agent: Agent) -> bool:
    """Say whether an agent welcomes requests now."""
    return healthy(f"http://127.0.0.1:{agent.http}/ping") is None
