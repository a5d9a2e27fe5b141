"""Rollouts on the real server: events as the controller's own database role writes them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.connections import secrets
from flywheel.events import Event, EventKind
from flywheel.identities import CONTROLLER
from flywheel.rollout_spec import Rollout as Way
from flywheel.settings import Settings
from tests.deploy.simulated import FLIGHTS
from tests.registry.conftest import Server

PLAIN_WAY = Way(steps=(10, 50), bake=timedelta(0), shadow=None, guard=("errors",))
ERRORS = {"kind": "errors", "part": 1.0, "margin": 0.01}


@dataclass
class Controller:
    """Writes a rollout's events."""

    engine: sa.Engine

    def record(self, kind: EventKind, subject: str, at: datetime | None = None, **body: Any) -> None:
        """Write one event."""
        with self.engine.begin() as connection:
            events.append(connection, kind, subject, CONTROLLER, body, at)

    def start(self, model: str, version: str, way: Way = PLAIN_WAY) -> str:
        """Start a rollout against version 1 and return its name."""
        name = f"{model}-v{version}-{'b' * 8}-1"
        verdicts = {"traffic": {"steps": list(way.steps), "alpha": 0.05, "metrics": {"errors": ERRORS}}}
        self.record(
            EventKind.ROLLOUT_STARTED,
            f"{model}/{version}",
            rollout=name,
            version=version,
            digest="sha256:" + "b" * 64,
            champion={"version": "1", "digest": "sha256:" + "a" * 64},
            plan={"spec": way.model_dump(mode="json"), "verdicts": verdicts, "evidence": {}},
        )
        return name

    def change(self, kind: EventKind, name: str, *states: str, **body: Any) -> None:
        """Record a change of a rollout by its states: intent, done."""
        model, _, rest = name.partition("-v")
        for state in states:
            self.record(kind, f"{model}/{rest.split('-')[0]}", rollout=name, state=state, reason="It answers.", **body)


@pytest.fixture(scope="session")
def controller(stack: Settings) -> Iterator[Controller]:
    engine = sa.create_engine(secrets(stack).databases["controller"])
    yield Controller(engine)
    engine.dispose()


@pytest.fixture
def going(server: Server, controller: Controller) -> str:
    """A model whose version 2 gets 10 % of the requests."""
    model = server.model()
    for _ in range(2):
        server.register(model)
    name = controller.start(model, "2")
    controller.change(EventKind.ROLLOUT_STEP, name, "intent", "done", step=0, percent=10)
    return model


def copied(server: Server, controller: Controller, own: sa.Engine, chain: Sequence[Event]) -> str:
    """Write a chain of the simulated world as a model of the server's; return the last rollout's name.

    Args:
        server: Registers versions 1 and 2.
        controller: Writes what the controller said.
        own: The server's own database role, for what people said.
        chain: In order.
    """
    model = server.model(prefix="rich")
    for _ in range(2):
        server.register(model)
    name = ""
    for one in chain:
        body = json.loads(json.dumps(one.body).replace(FLIGHTS, model))
        name = body["rollout"]
        with (controller.engine if one.actor == CONTROLLER else own).begin() as connection:
            events.append(connection, one.kind, one.subject.replace(FLIGHTS, model), one.actor, body, one.at)
    return name
