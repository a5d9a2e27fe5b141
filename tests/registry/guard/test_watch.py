"""The watch on the real stack: what was moved behind the gate's back, also as superuser, is back within ten seconds."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from flywheel.events import Event, EventKind
from flywheel.identities import CONTROLLER, GATES
from flywheel.settings import Settings
from tests.registry.own_database import superuser_url

if TYPE_CHECKING:
    from tests.registry.conftest import Server

SECONDS = 10.0  # in which a pointer must be back


@pytest.fixture(scope="module")
def superuser(stack: Settings) -> Iterator[sa.Engine]:
    engine = sa.create_engine(superuser_url(stack))
    yield engine
    engine.dispose()


@pytest.fixture
def intrude(superuser: sa.Engine) -> Callable[[str], None]:
    """Run one statement past all triggers and foreign keys; the placeholder :name is the model."""

    def run(statement: str, **values: object) -> None:
        with superuser.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            assert connection.execute(sa.text(statement), values).rowcount == 1

    return run


def until(found: Callable[[], bool]) -> float:
    """Wait until it is found; return the seconds that took."""
    began = time.monotonic()
    while not found():
        assert time.monotonic() - began < SECONDS, "not within ten seconds"
        time.sleep(0.05)
    return time.monotonic() - began


def reverted(server: "Server", model: str) -> tuple[Event, Event]:
    """Return the last two events of a model: it was put back, and alerted."""
    *_, back, alert = server.events(model)
    assert (back.kind, back.actor) == (EventKind.POINTER_REVERTED, GATES)
    assert (alert.kind, alert.body["what"]) == (EventKind.ALERT, "pointer.moved")
    return back, alert


def champion(server: "Server", model: str) -> str | None:
    found = server.call("ada", "GET", f"mlflow/registered-models/alias?name={model}&alias=champion")
    return str(found.json()["model_version"]["version"]) if found.status_code == 200 else None


def test_a_stage_that_a_superuser_writes_is_put_back_and_alerted(
    server: "Server", model: str, intrude: Callable[..., None]
) -> None:
    version = server.register(model)
    intrude("UPDATE model_versions SET current_stage = 'Production' WHERE name = :name", name=model)
    assert server.version(model, version)["current_stage"] == "Production"
    until(lambda: server.version(model, version)["current_stage"] == "None")
    back, alert = reverted(server, model)
    assert (back.subject, back.body["from"], back.body["to"]) == (f"{model}/{version}", "Production", "None")
    assert f"Version {version} of '{model}' went from None to Production without an event." in alert.body["sentence"]
    assert server.trail_is_whole()


def test_an_alias_moved_made_or_removed_by_sql_is_put_back(
    server: "Server", model: str, intrude: Callable[..., None]
) -> None:
    first, second = server.register(model), server.register(model)
    assert server.move("grace", model, first, "Production").status_code == 200
    server.made(CONTROLLER, "registered-models/alias", name=model, alias="champion", version=first)
    intrude("UPDATE registered_model_aliases SET version = :to WHERE name = :name", to=int(second), name=model)
    until(lambda: champion(server, model) == first)
    intrude("DELETE FROM registered_model_aliases WHERE name = :name", name=model)
    until(lambda: champion(server, model) == first)
    back, _ = reverted(server, model)
    assert (back.body["alias"], back.body["from"], back.body["version"]) == ("champion", None, first)
    server.call(CONTROLLER, "DELETE", "mlflow/registered-models/alias", json={"name": model, "alias": "champion"})
    assert champion(server, model) is None
    intrude(
        "INSERT INTO registered_model_aliases (name, alias, version) VALUES (:name, 'champion', :to)",
        name=model,
        to=int(second),
    )
    until(lambda: champion(server, model) is None)
    assert server.trail_is_whole()


def test_a_version_that_was_made_to_point_at_other_bytes_points_back(
    server: "Server", model: str, intrude: Callable[..., None]
) -> None:
    version = server.register(model)
    source = server.version(model, version)["source"]
    intrude(
        "UPDATE model_versions SET source = 's3://elsewhere', storage_location = 's3://elsewhere' WHERE name = :name",
        name=model,
    )
    until(lambda: server.version(model, version)["source"] == source)
    back, _ = reverted(server, model)
    assert (back.body["pointer"], back.body["from"], back.body["to"]) == ("source", "s3://elsewhere", source)
