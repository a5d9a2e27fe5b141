"""The census against the MLflow that is installed: its routes as the server has them, and its registry store."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from flywheel.connections import secrets
from flywheel.settings import Settings
from registry.doors.census import CENSUS, FILE, STATIC_PREFIX, Area, State, area_of, read_census, template

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi:UserWarning"),
]

# MLflow's login can be added once a process, so the server is made in one of its own.
ENUMERATE = """
import json
from mlflow.server import app
from mlflow.server.handlers import STATIC_PREFIX_ENV_VAR
from registry.app import create_app
from registry.doors.queries import _fields
from registry.doors.routes import NativeRoutes, flask_routes
server = create_app()
native = [(method, route.template) for route in NativeRoutes(server.routes).routes for method in route.methods]
fields = [("GRAPHQL", name) for name in _fields()]
print(json.dumps({"routes": [*flask_routes(app), *native, *fields], "prefix": STATIC_PREFIX_ENV_VAR}))
"""
LOGIN = """[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/login.db
admin_username = admin
admin_password = a-password-of-a-test
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def enumerate_server(stack: Settings, folder: Path, **extra: str) -> dict[str, Any]:
    (folder / "login.ini").write_text(LOGIN.format(folder=folder))
    database = secrets(stack).databases["server"]
    environment = {
        **os.environ,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "login.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key-of-a-test",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": f"flywheel+{database}",
        "FLYWHEEL_POLICY": str(stack.root / "policy.yaml"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **extra,
    }
    command = [sys.executable, "-W", "ignore", "-c", ENUMERATE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["routes"] = {(method, path) for method, path in found["routes"]}
    return found


@pytest.fixture(scope="module")
def server_parts(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return enumerate_server(stack, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def store_class() -> Any:
    """MLflow's: what our gate adds to it is no door of MLflow's, and asks the policy itself."""
    return import_module("mlflow.store.model_registry.sqlalchemy_store").SqlAlchemyStore


def methods_of(store: Any) -> set[str]:
    parts = {name: getattr(store, name) for name in dir(store) if not name.startswith("_")}
    return {name for name, part in parts.items() if callable(part) or isinstance(part, property)}


def unknown_routes(routes: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(method, path) for method, path in routes if CENSUS.door(method, path) is None}


def test_every_route_of_the_server_is_decided(server_parts: dict[str, Any]) -> None:
    assert len(server_parts["routes"]) > 400  # both kinds were found
    assert unknown_routes(server_parts["routes"]) == set(), "decide about them in registry/doors/census.txt"


def test_nothing_is_decided_that_the_server_does_not_have(server_parts: dict[str, Any]) -> None:
    assert set(CENSUS.routes) - server_parts["routes"] == set()
    paths = {path for _, path in server_parts["routes"]}
    assert [start for start in CENSUS.families if not any(path.startswith(start) for path in paths)] == []


def test_every_method_of_the_store_is_decided_and_none_that_it_lacks(store_class: Any) -> None:
    assert methods_of(store_class) == set(CENSUS.methods)


def test_the_gate_itself_keeps_the_methods_that_are_said_to_be_kept(store_class: Any) -> None:
    gate = import_module("registry.store.gate").GateStore
    kept = {name for name, door in CENSUS.methods.items() if door.keeper == "store"}
    assert {name for name in kept if getattr(gate, name) is getattr(store_class, name)} == set()
    assert issubclass(gate, store_class)


def test_graphql_is_closed_when_it_offers_something_new(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = import_module("registry.doors.queries")
    assert queries.unknown_fields() is None
    monkeypatch.setattr(queries, "_fields", lambda: ("query.test", "mutation.mlflowMoveStage"))
    assert "mutation.mlflowMoveStage" in queries.unknown_fields()


@pytest.mark.parametrize(
    ("method", "rule"),
    [
        ("POST", "/api/2.0/mlflow/model-versions/promote"),
        ("PUT", "/api/2.0/mlflow/model-versions/transition-stage"),
        ("POST", "/api/4.0/mlflow/model-versions/transition-stage"),
        ("PATCH", "/api/3.0/mlflow/traces/<trace_id>/stage"),
        ("DELETE", "/ajax-api/3.0/mlflow/mcp-servers/{name:path}/everything"),
        ("GET", "/a/new/page"),
    ],
)
def test_the_census_does_not_know_a_route_that_mlflow_may_bring(method: str, rule: str) -> None:
    assert unknown_routes([(method, template(rule))]) == {(method, template(rule))}


def test_a_server_with_one_more_route_and_a_store_with_one_more_method_fail_the_census(
    server_parts: dict[str, Any], store_class: Any
) -> None:
    server_parts = {**server_parts, "routes": server_parts["routes"] | {("POST", "/api/2.0/mlflow/stages/force")}}
    with pytest.raises(AssertionError, match="stages/force"):
        test_every_route_of_the_server_is_decided(server_parts)
    with pytest.raises(AssertionError, match="force_stage"):
        test_every_method_of_the_store_is_decided_and_none_that_it_lacks(
            type("Upgraded", (store_class,), {"force_stage": lambda self: None})
        )


def test_a_server_that_lost_a_route_fails_the_census(server_parts: dict[str, Any]) -> None:
    lost = ("POST", "/api/2.0/mlflow/model-versions/transition-stage")
    with pytest.raises(AssertionError, match="transition-stage"):
        test_nothing_is_decided_that_the_server_does_not_have(
            {**server_parts, "routes": server_parts["routes"] - {lost}}
        )


def test_a_prefix_before_all_paths_changes_no_decision(
    stack: Settings, server_parts: dict[str, Any], tmp_path: Path
) -> None:
    assert server_parts["prefix"] == STATIC_PREFIX
    prefixed = enumerate_server(stack, tmp_path, **{STATIC_PREFIX: "/ml"})
    assert {path for _, path in prefixed["routes"]} >= {"/api/2.0/mlflow/model-versions/transition-stage"}
    assert unknown_routes(prefixed["routes"]) == set()


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("POST /a\n", "below a"),
        ("[open read]\nGET\n", "METHODS and a path"),
        ("[ajar read]\n", "'ajar'"),
        ("[open everything]\n", "'everything'"),
        ("[gated read]\n", "keeps no gated door"),
        ("[open read store]\n", "keeps no open door"),
        ("[refused admin because]\n", "keeps no refused door"),
        ("[open read]\nGET /a\nGET,POST /a\n", "decided twice"),
        ("[open read]\nSTORE a b a\n", "decided twice"),
        ("[open tracking]\n* /mlflow/**\n", "can only be refused"),
    ],
)
def test_a_row_that_decides_nothing_is_named_with_its_line(row: str, fault: str) -> None:
    with pytest.raises(ValueError, match=rf"census\.txt, line \d: .*{fault}"):
        read_census(row)


@pytest.mark.parametrize(
    ("method", "path", "area"),
    [
        ("GET", "/api/2.0/mlflow/runs/get", Area.READ),
        ("HEAD", "/", Area.READ),
        ("OPTIONS", "/anything", Area.READ),
        ("POST", "/api/2.0/mlflow/runs/log-metric", Area.TRACKING),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/a/b c/d", Area.TRACKING),
        ("PATCH", "/ajax-api/2.0/mlflow/logged-models/m-1/tags", Area.TRACKING),
        ("POST", "/ajax-api/2.0/mlflow/model-versions/transition-stage", Area.REVIEW),
        ("POST", "/api/2.0/mlflow/model-versions/create", Area.REGISTRY),
        ("POST", "/api/2.0/mlflow/users/create", Area.ADMIN),
        ("PATCH", "/api/2.0/mlflow/users/update-password", Area.OWN),
        ("GET", "/api/2.0/mlflow/users/current", Area.READ),
        ("POST", "/gateway/proxy/any/thing", Area.ADMIN),
        ("POST", "/nobody/knows", Area.ADMIN),
        ("DELETE", "/api/2.0/mlflow/runs/get", Area.ADMIN),
    ],
)
def test_a_request_has_one_area_and_the_unknown_is_the_administrators(method: str, path: str, area: Area) -> None:
    assert area_of(method, path) is area


def test_an_area_of_a_path_is_that_of_its_route(server_parts: dict[str, Any]) -> None:
    def path_of(shape: str) -> str:
        return shape.replace("{...}", "a/b").replace("{}", "c")

    served = [(method, shape) for method, shape in server_parts["routes"] if method != "GRAPHQL"]
    areas = {key: door.area for key in served if (door := CENSUS.door(*key)) and door.state is not State.REFUSED}
    assert {area for (method, _), area in areas.items() if method == "GET"} == {Area.READ}
    assert {key for key, area in areas.items() if area_of(key[0], path_of(key[1])) is not area} == set()


def test_every_refusal_is_a_sentence() -> None:
    refused = [door for door in [*CENSUS.routes.values(), *CENSUS.families.values()] if door.state is State.REFUSED]
    assert len(refused) > 50
    assert all(door.reason.endswith(".") and "_" not in door.reason.split("(")[0] for door in refused)
    assert FILE.read_text().endswith("\n")
