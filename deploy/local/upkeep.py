"""Has a version's programs run as its place says, and brings the place closer to serving.yaml, a step at a call."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from deploy.desired import Served
from deploy.local import plan, programs
from deploy.local.choice import Choice, choose, without_measuring
from deploy.local.environments import Environments, State
from deploy.local.locks import environment_digest
from deploy.local.measuring import Measuring
from deploy.local.places import Agent, Form, Place, Places, Worker, program_name
from deploy.local.programs import EXPORTER, SHIPPER, Version
from deploy.local.startup import ping
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
        self._environments = Environments(settings, clock)

    def bring(self, place: Place, wanted: Wanted) -> Place:
        """Do what can be done now, and return the place as it is then; a choice without a backend says why not."""
        form = Form(_environment_of(wanted), wanted.serving.resources.worker)
        place = self._prepared(place, wanted, form)
        choice = place.choice
        if choice is None or choice.backend is None or (place.waits and not place.agents):
            return place
        frozen = bool(place.agents) and (wanted.frozen or bool(place.waits))
        count = wanted.workers(choice)
        if not frozen:
            place = plan.with_workers(place, count, form, self._free)
        scorers = tuple(one.port for one in plan.current_workers(place, form)[:count])
        version = Version(wanted.served, wanted.folder, choice.backend, scorers, wanted.serving, wanted.observability)
        if not frozen:
            place = plan.with_agents(place, version.spec, wanted.serving.replicas, self._free)
        place = self._without_lost(place, version.spec)
        if not frozen:
            place = plan.promoted(place, version.spec, {one.number for one in place.agents if ping(one) is None})
            place = self._without_workers(place, count, form)
        self._run_workers(place, wanted.folder)
        self._run_agents(place, version)
        return place

    def tidy(self) -> None:
        """Remove the environments that nobody uses any more."""
        workers = [worker for place in self._places.read().values() for worker in place.workers]
        self._environments.tidy({one.form.environment for one in workers})

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

    def _prepared(self, place: Place, wanted: Wanted, form: Form) -> Place:
        """Have what a version needs before it starts: the environment of its workers, and its backend."""
        if not (wanted.frozen and place.agents):
            place = self._with_environment(place, wanted, form.environment)
        return place if place.waits else self._chosen(place, wanted, form)

    def _with_environment(self, place: Place, wanted: Wanted, digest: str) -> Place:
        """Have the environment built; until then the place waits, and what runs goes on as it is."""
        waits, choice = "", place.choice
        if digest and self._needs_workers(place, wanted):
            who, manager = f"{wanted.served.usecase} version {wanted.served.version}", wanted.serving.env_manager
            found = self._environments.poll(digest, wanted.folder, manager, who)
            if found.state is State.BUILDING:
                waits = f"Its environment is being built with {manager}."
            elif found.state is State.FAILED:
                waits = found.reason
                choice = choice if place.agents else Choice(wanted.serving.backend, None, found.reason)
        place = replace(place, waits=waits, choice=choice)
        self._places.keep(place)
        return place

    def _needs_workers(self, place: Place, wanted: Wanted) -> bool:
        choice = place.choice
        return choice is None or choice.asked != wanted.serving.backend or wanted.workers(choice) > 0

    def _chosen(self, place: Place, wanted: Wanted, form: Form) -> Place:
        """Choose a backend, which may need a worker and some seconds; until then the place is as it was."""
        asked = wanted.serving.backend
        if place.choice is not None and (wanted.frozen or place.choice.asked == asked):
            return place
        choice = without_measuring(asked, has_onnx=(wanted.folder / INSIDE / "model.onnx").is_file())
        if choice is None:
            place = plan.with_workers(place, 1, form, self._free)
            self._run_workers(place, wanted.folder)
            choice = self._measured(plan.current_workers(place, form)[0], wanted)
        if choice is not None and choice.backend is None and place.choice is not None:
            choice = replace(place.choice, asked=asked, reason=choice.reason)  # it serves, and goes on as it does
        place = replace(place, choice=choice or place.choice)
        self._places.keep(place)
        return place

    def _measured(self, worker: Worker, wanted: Wanted) -> Choice | None:
        url = f"http://127.0.0.1:{worker.port}"
        if healthy(f"{url}/ping") is not None:
            return None
        measured = self._measuring.poll(wanted.served, wanted.folder, url, self._clock())
        return None if measured is None else choose(wanted.serving.backend, measured)

    def _without_lost(self, place: Place, spec: str) -> Place:
        """Leave out agents that are gone and could not be started again as they were."""
        states = program_states(self._settings)
        kept = [one for one in place.agents if one.spec == spec or self._name(place, one) in states]
        return replace(place, agents=tuple(kept))

    def _without_workers(self, place: Place, count: int, form: Form) -> Place:
        smaller = plan.without_surplus(place, count, form)
        for worker in set(place.workers) - set(smaller.workers):
            stop_and_remove_program(self._settings, program_name("scorer", place.served, worker.number))
        return smaller

    def _run_workers(self, place: Place, folder: Path) -> None:
        self._places.keep(place)  # before anything starts: what a crash leaves must be known
        states = program_states(self._settings)
        for worker in place.workers:
            if program_name("scorer", place.served, worker.number) not in states:
                python = self._environments.python(worker.form.environment)
                self._run(programs.worker_program(place.served, worker, folder, python))

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


def _environment_of(wanted: Wanted) -> str:
    """Return the digest of the environment that a version's workers should run in; '' is this installation."""
    manager = wanted.serving.env_manager
    return "" if manager == "local" else environment_digest(wanted.folder, manager)
