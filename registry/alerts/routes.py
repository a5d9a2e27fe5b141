"""Routes of this room: what is open and silenced, and what people say of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from flywheel.alerts import RANK, Alert, Silence, read_board
from registry.alerts.say import acknowledge, close, end_silence, silence
from registry.caller import caller
from registry.routes import add_route, body
from registry.store.gate import GateStore
from registry.store.opened import gate_store

Saying = Callable[[GateStore, str, str, str], Alert]


def add_routes(app: Flask) -> None:
    """Add them; call it before MLflow's login is added, which then guards them."""
    add_route(app, "GET", "alerts", _list)
    add_route(app, "POST", "alerts/<name>/acknowledge", _saying(acknowledge))
    add_route(app, "POST", "alerts/<name>/close", _saying(close))
    add_route(app, "POST", "silences", _silence)
    add_route(app, "POST", "silences/<name>/end", _end)


def _list() -> dict[str, Any]:
    """Answer all open alerts, the gravest first, and the silences that hold."""
    now = datetime.now(UTC)
    with gate_store().engine.connect() as connection:
        board = read_board(connection)
    found = sorted(board.alerts.values(), key=lambda one: (-RANK[one.finding.severity], one.opened, one.id))
    silences = [one for one in board.silences.values() if now < one.until]
    return {
        "alerts": [_alert(one, board.silence_of(one, now)) for one in found],
        "silences": [_document(one) for one in silences],
    }


def _saying(say: Saying) -> Callable[[str], dict[str, Any]]:
    def handle(name: str) -> dict[str, Any]:
        because = body(required=("because",))["because"].strip()
        return {**_alert(say(gate_store(), caller(), name, because), None), "by": caller(), "because": because}

    return handle


def _silence() -> dict[str, Any]:
    asked = body(required=("until", "because"), optional=("use_case", "kind", "key"))
    matched = {name: asked.get(name, "").strip() for name in ("use_case", "kind", "key")}
    made = silence(gate_store(), caller(), **matched, until=_time(asked["until"]), because=asked["because"].strip())
    return _document(made)


def _end(name: str) -> dict[str, Any]:
    because = body(required=("because",))["because"].strip()
    return _document(end_silence(gate_store(), caller(), name, because))


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        reason = f"Field 'until' is '{text}', which is no time. Write one like 2026-01-31T12:00:00Z."
        raise MlflowException(reason, INVALID_PARAMETER_VALUE) from fault


def _alert(alert: Alert, silenced: Silence | None) -> dict[str, Any]:
    known = alert.acknowledged
    return {
        "id": alert.id,
        "use_case": alert.use_case,
        "opened": alert.opened.isoformat(),
        **alert.finding.body(),
        "acknowledged": None if known is None else {"by": known[0], "because": known[1]},
        "silenced_until": None if silenced is None else silenced.until.isoformat(),
        "quiet_looks": alert.quiet,
    }


def _document(one: Silence) -> dict[str, Any]:
    named = {"id": one.id, "use_case": one.use_case, "kind": one.kind, "key": one.key}
    return {**named, "until": one.until.isoformat(), "by": one.by, "because": one.because}
