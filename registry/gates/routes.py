"""Routes of gates: what they said of a version, and asking them again."""

from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import entry_points
from typing import Any

from flask import Flask
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.server import handlers

from flywheel import events
from flywheel.events import EventKind
from flywheel.limits import BUILT_IN
from flywheel.policy import GATES_GROUP
from registry.caller import caller, denied, policy_of
from registry.gates.evidence import Evidence, read_evidence
from registry.gates.waiting import waiting
from registry.routes import add_route, body
from registry.store.gate import GateStore


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "GET", "gates/<name>/<version>", _show)
    add_route(app, "POST", "gates/<name>/<version>", _ask)


def _show(name: str, version: str) -> dict[str, Any]:
    found = _store().get_model_version(name, version)
    return _state(found.name, str(found.version))


def _ask(name: str, version: str) -> dict[str, Any]:
    sent, actor = body(optional=("gates",)), caller()
    gates = _known(word.strip() for word in sent.get("gates", "").split(",") if word.strip())
    store = _store()
    found = store.get_model_version(name, version)
    subject = f"{found.name}/{found.version}"
    with store.engine.begin() as connection:
        events.lock_head(connection)
        policy = policy_of(connection).for_model(found.name)
        askers = policy.allowed(*policy.may.ask)
        if actor not in askers:
            who = ", ".join(sorted(askers)) or "nobody; the policy names no one"
            raise denied(f"Gates refused: '{actor}' may not ask for them. Who may: {who}.")
        asked = {"model": found.name, "version": str(found.version), "gates": gates}
        # What waits already is not asked for twice: each question would push its version before all others.
        left = set(waiting(events.read(connection, subject=subject)).left(policy.gates.required))
        if not left or not {*(gates or policy.gates.required)} <= left:
            events.append(connection, EventKind.GATES_REQUESTED, subject, actor, asked)
    return _state(found.name, str(found.version))


def _state(name: str, version: str) -> dict[str, Any]:
    subject = f"{name}/{version}"
    with _store().engine.connect() as connection:
        trail = events.read(connection, subject=subject)
        policy = policy_of(connection).for_model(name)
    evidence = read_evidence(trail, subject)
    of_usecase = [gate for gate, one in evidence.items() if one.reason.required_by == "use case"]
    required = dict.fromkeys([*policy.gates.required, *of_usecase])
    questions = waiting(trail)
    return {
        "model": name,
        "version": version,
        "waiting": bool(questions.upto),
        "asked": questions.upto,
        "left": list(questions.left(required)),
        "required": list(required),
        "evidence": [_shown(one) for one in evidence.values()],
    }


def _shown(one: Evidence) -> dict[str, Any]:
    document = asdict(one) | asdict(one.measurement) | asdict(one.reason)
    del document["measurement"], document["reason"]
    return {**document, "outcome": str(one.measurement.outcome), "at": one.at.isoformat()}


def _known(names: Iterable[str]) -> list[str]:
    wanted = list(dict.fromkeys(names))
    known = {*BUILT_IN, *(point.name for point in entry_points(group=GATES_GROUP))}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        there = ", ".join(sorted(known))
        raise MlflowException(f"There is no gate '{unknown[0][:60]}'. Gates: {there}.", INVALID_PARAMETER_VALUE)
    return wanted


def _store() -> GateStore:
    store: GateStore = handlers._get_model_registry_store()
    return store
