"""Closed by default: refused doors, doors that nobody has decided about, and strangers before every door."""

import json
from importlib import import_module
from typing import Any

import pytest

from registry.doors.census import CENSUS, GRAPHQL, State
from tests.registry.doors.conftest import ADMINISTRATOR, AUTHOR, REVIEWER, STRANGER, Knock

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi:UserWarning"),
]
# What MLflow answers without a login: whether it lives, what it is, and its own scripts and pictures.
PUBLIC = (
    "/health",
    "/version",
    "/static-files/",
    "/build/",
    "/api/3.0/mlflow/server-info",
    "/ajax-api/3.0/mlflow/server",
)
REFUSED = sorted(key for key, door in CENSUS.routes.items() if door.state is State.REFUSED)
FAMILIES = [(method, f"{start}any/thing") for start in CENSUS.families for method in ("POST", "PATCH", "PUT", "DELETE")]
# Of those families, what the server really has: elsewhere it answers that there is nothing.
BELOW = [
    ("POST", "/gateway/proxy/any/thing"),
    ("POST", "/gateway/some/mlflow/invocations"),
    ("POST", "/gateway/openai/v1/responses"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
    ("PUT", "/ajax-api/3.0/mlflow/assistant/config"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/skills/install"),
    ("GET", "/ajax-api/3.0/mlflow/assistant/sessions/s/stream"),
    ("GET", "/ajax-api/3.0/mlflow/assistant/providers/p/models"),
]


def path_of(shape: str) -> str:
    return shape.replace("{...}", "a/b").replace("{}", "c")


@pytest.mark.parametrize("user", [AUTHOR, REVIEWER, ADMINISTRATOR])
def test_a_refused_door_is_closed_to_everybody_and_says_what_to_do_instead(knock: Knock, user: str) -> None:
    wrong = {}
    for method, shape in [*REFUSED, *BELOW]:
        answer = knock(user, method, path_of(shape), {})
        door = CENSUS.door(method, shape)
        told = door is not None and (answer.status, answer.message) == (403, door.reason)
        # MLflow's own checks of what others may come before ours, and miss a field or a thing that is not there.
        if not told and (user == ADMINISTRATOR or answer.status not in {400, 403, 404}):
            wrong[method, shape] = answer
    assert wrong == {}


@pytest.mark.parametrize(("method", "path"), FAMILIES)
def test_nothing_is_done_below_a_refused_family(knock: Knock, method: str, path: str) -> None:
    assert knock(ADMINISTRATOR, method, path, {}).status in {403, 404, 405}


def test_a_stranger_gets_401_before_every_door(knock: Knock) -> None:
    asked = [(method, path_of(shape)) for method, shape in CENSUS.routes if method != GRAPHQL]
    asked = [(method, path) for method, path in asked if not path.startswith(PUBLIC)]
    theirs = [(method, path) for method, path in asked if not path.startswith("/flywheel/api/")]
    assert len(theirs) > 400
    assert {key: answer.status for key in theirs if (answer := knock(STRANGER, *key, {})).status != 401} == {}


async def ask(app: Any, method: str, path: str) -> tuple[int, Any]:
    """Send one request to an ASGI app in this process."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    await app({**scope, "headers": [], "http_version": "1.1", "root_path": "", "scheme": "http"}, receive, send)
    return sent[0]["status"], json.loads(b"".join(part.get("body", b"") for part in sent[1:]))


async def test_a_native_route_that_nobody_decided_about_changes_nothing() -> None:
    keeper, routes = import_module("registry.doors.keeper"), import_module("registry.doors.routes")
    fastapi = import_module("fastapi")
    done: list[str] = []
    included = fastapi.APIRouter(prefix="/api/9.0")
    for method in ("GET", "POST"):
        included.add_api_route("/stage/{name:path}", lambda: done.append("it"), methods=[method])
    server = fastapi.FastAPI()
    server.include_router(included)
    server.add_middleware(keeper.NativeKeeper, routes=routes.NativeRoutes(server.routes))
    status, said = await ask(server, "POST", "/api/9.0/stage/a/b")
    assert (status, said["error_code"]) == (403, "PERMISSION_DENIED")
    assert "nobody has decided yet" in said["message"]
    assert done == []
    assert (await ask(server, "GET", "/api/9.0/stage/a/b"))[0] == 200
    assert (await ask(server, "DELETE", "/api/9.0/stage/a/b"))[0] in {403, 405}
    assert (await ask(server, "POST", "/nothing/here"))[0] == 404


def test_a_flask_route_that_nobody_decided_about_changes_nothing() -> None:
    keeper, flask = import_module("registry.doors.keeper"), import_module("flask")
    app = flask.Flask("upgraded")
    done: list[str] = []

    def act(**_parts: Any) -> str:
        done.append("it")
        return "done"

    app.add_url_rule("/api/9.0/stage/<name>", "act", act, methods=["GET", "POST", "DELETE"])
    app.add_url_rule("/ajax-api/3.0/mlflow/demo/generate", "demo", act, methods=["POST"])
    keeper.keep_flask_routes(app)
    client = app.test_client()
    for refused in (client.post("/api/9.0/stage/a"), client.delete("/api/9.0/stage/a")):
        assert refused.status_code == 403
        assert "nobody has decided yet" in refused.json["message"]
    assert "does not belong" in client.post("/ajax-api/3.0/mlflow/demo/generate").json["message"]
    assert done == []
    assert client.get("/api/9.0/stage/a").status_code == 200
    assert client.options("/api/9.0/stage/a").status_code == 200
    assert client.post("/nothing/here").status_code == 404


def test_a_server_with_a_prefix_before_its_paths_is_kept_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    census = import_module("registry.doors.census")
    keeper, flask = import_module("registry.doors.keeper"), import_module("flask")
    monkeypatch.setenv(census.STATIC_PREFIX, "/ml/")
    census.template.cache_clear()
    app = flask.Flask("prefixed")
    app.add_url_rule("/ml/ajax-api/3.0/mlflow/demo/generate", "demo", lambda: "done", methods=["POST"])
    keeper.keep_flask_routes(app)
    answer = app.test_client().post("/ml/ajax-api/3.0/mlflow/demo/generate")
    census.template.cache_clear()
    assert (answer.status_code, "does not belong" in answer.json["message"]) == (403, True)
