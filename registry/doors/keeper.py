"""Closed by default: what the census refuses nobody does, and what it does not know changes nothing.

Both halves stand behind MLflow's login, so that a stranger gets 401 and learns nothing. Flask's routes are kept before
they are handled, native ones by the innermost middleware. Reading is left to MLflow where nobody has decided.
"""

from collections.abc import Callable, Mapping

from flask import Flask, Response, jsonify, make_response, request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.doors import accounts, closed, freeze, queries
from registry.doors.bodies import require_object
from registry.doors.census import CENSUS, SAFE_METHODS, Door, Keeper, State, template
from registry.doors.routes import NativeRoutes

UNKNOWN = (
    "Refused: nobody has decided yet whether this server may do that. Ask its administrator to decide in census.txt."
)
# Each returns why the request is refused, a sentence; None lets it pass.
KEEPERS: Mapping[str, Callable[[], str | None]] = {
    Keeper.FROZEN: freeze.frozen_artifact,
    Keeper.LOCATION: freeze.chosen_location,
    Keeper.CLOSED_RUN: closed.closed_run,
    Keeper.CLOSED_MODEL: closed.closed_model,
    Keeper.CLOSED_EXPERIMENT: closed.closed_experiment,
    Keeper.QUERIES: queries.unknown_fields,
    Keeper.ADMINISTRATOR: accounts.not_administrator,
}


def keep_flask_routes(app: Flask) -> None:
    """Put the keepers before Flask's routes; call it after MLflow's login has been added."""
    app.before_request(_keep)


def _keep() -> Response | None:
    rule = request.url_rule
    if rule is None or request.method == "OPTIONS":
        return None  # Flask answers these itself
    require_object()
    refusal = _refusal(request.method, template(rule.rule))
    return make_response(jsonify(refused(refusal)), 403) if refusal else None


def _refusal(method: str, shape: str) -> str | None:
    door = CENSUS.door(method, shape)
    if door is None or door.state is not State.GATED:
        return _standing(method, door)
    keeper = KEEPERS.get(door.keeper)
    return keeper() if keeper else None


def _standing(method: str, door: Door | None) -> str | None:
    """Return what is said to everybody at a door, whatever they ask for."""
    if door is None:
        return None if method in SAFE_METHODS else UNKNOWN
    return door.reason if door.state is State.REFUSED else None


class NativeKeeper:
    """ASGI middleware for native routes; the innermost one, so that login comes first."""

    def __init__(self, app: ASGIApp, routes: NativeRoutes) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 where the census refuses or does not know; pass everything else on."""
        if scope["type"] == "websocket":  # MLflow has none
            await send({"type": "websocket.close", "code": 1008})
            return
        shape = self.routes.find(scope) if scope["type"] == "http" else None
        refusal = _standing(scope["method"], CENSUS.door(scope["method"], shape)) if shape else None
        answer = JSONResponse(refused(refusal), 403) if refusal else self.app
        await answer(scope, receive, send)


def refused(sentence: str) -> dict[str, str]:
    """Return a refusal as MLflow writes its own, which its pages show as it is."""
    return {"error_code": "PERMISSION_DENIED", "message": sentence}
