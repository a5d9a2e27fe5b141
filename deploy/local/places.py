"""Where versions run on this node, remembered in HOME/run/serving.json: ports, roles, and the backend that was chosen.

The supervisor knows what runs and the route file what is routed; only what neither can tell is kept here. The form of
the release before replicas (one agent and one scorer a version) is still read: its agent goes on answering until the
agents that `flywheel deploy` starts beside it are ready.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.desired import Served
from deploy.gateway.traffic import Backend, Replica
from deploy.local.choice import Choice
from flywheel.connections import write_private
from flywheel.errors import FlywheelError


class Role(StrEnum):
    """What an agent is to the gateway."""

    COMING = "coming"  # started, has not answered yet; becomes SERVING together with the others of its kind
    SERVING = "serving"  # gets requests; becomes LEAVING when agents with newer settings serve
    LEAVING = "leaving"  # gets none any more; is stopped once the gateway has confirmed that


@dataclass(frozen=True)
class Worker:
    """One `mlflow models serve`: its number within the version, from 1, and its port."""

    number: int
    port: int


@dataclass(frozen=True)
class Agent:
    """One agent: its number within the version, from 1, its ports, and the digest of what it was started with."""

    number: int
    http: int
    grpc: int
    spec: str
    role: Role


@dataclass(frozen=True)
class Place:
    """Where a version runs."""

    served: Served
    workers: tuple[Worker, ...] = ()
    agents: tuple[Agent, ...] = ()
    choice: Choice | None = None

    @property
    def backend(self) -> Backend:
        """What the gateway needs to know: the agents that serve, or at the very start those that will."""
        serving = [one for one in self.agents if one.role is Role.SERVING]
        shown = serving or [one for one in self.agents if one.role is Role.COMING]
        return Backend(self.served.usecase, self.served.version, tuple(Replica(one.http, one.grpc) for one in shown))

    @property
    def ports(self) -> set[int]:
        """All ports that are given away."""
        return {one.port for one in self.workers} | {port for one in self.agents for port in (one.http, one.grpc)}

    @property
    def programs(self) -> list[str]:
        """The names of its programs, in the order in which they start."""
        workers = [program_name("scorer", self.served, one.number) for one in self.workers]
        return workers + [program_name("agent", self.served, one.number) for one in self.agents]


def program_name(kind: str, served: Served, number: int = 1) -> str:
    """Name a `scorer` or `agent` in the supervisor; the first of a version has no number."""
    return f"{kind}-{served.usecase}-v{served.version}" + (f"-{number}" if number > 1 else "")


class Places:
    """The memory of one home; each change is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Place]:
        """Return every place by its version's subject.

        Raises:
            FlywheelError: The file is damaged.
        """
        try:
            entries = json.loads(self._path.read_text())
            return {key: _place(one) for key, one in entries.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise FlywheelError(
                f"{self._path} is damaged. Run `flywheel down`, remove it, and `flywheel up`."
            ) from fault

    def keep(self, place: Place) -> None:
        """Write or replace a place."""
        places = self.read()
        if places.get(place.served.subject) != place:
            self._write({**places, place.served.subject: place})

    def forget(self, place: Place) -> None:
        """Remove a place."""
        self._write({key: one for key, one in self.read().items() if key != place.served.subject})

    def _write(self, places: Mapping[str, Place]) -> None:
        entries = {key: asdict(place) for key, place in sorted(places.items())}
        write_private(self._path, json.dumps(entries, indent=1))


def _place(values: Mapping[str, Any]) -> Place:
    served = Served(**values["served"])
    if "scorer" in values:  # the form before replicas: what it was started with is not known, so it will be replaced
        former = Agent(1, values["agent"], 0, "", Role.SERVING)
        return Place(served, (Worker(1, values["scorer"]),), (former,))
    return Place(
        served,
        tuple(Worker(**one) for one in values["workers"]),
        tuple(Agent(**{**one, "role": Role(one["role"])}) for one in values["agents"]),
        Choice(**values["choice"]) if values["choice"] else None,
    )
