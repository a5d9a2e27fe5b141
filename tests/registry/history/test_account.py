"""A model's history on the real server: at any time, and quickly however long it is."""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.connections import secrets
from flywheel.events import EventKind, Head
from flywheel.identities import CONTROLLER
from flywheel.settings import Settings
from registry.history.account import account
from registry.history.printout import history_lines
from tests.registry.conftest import Server


@pytest.fixture
def owner(stack: Settings) -> Iterator[sa.Engine]:
    engine = sa.create_engine(secrets(stack).databases["server"])
    yield engine
    engine.dispose()


def history(server: Server, model: str, at: datetime | str | None = None) -> dict[str, Any]:
    query = f"?at={quote(at if isinstance(at, str) else at.isoformat())}" if at else ""
    answer = server.call("ada", "GET", f"/flywheel/api/history/{model}{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def promoted(server: Server, model: str) -> tuple[str, datetime]:
    """Register, approve and make champion; return the number and a time just after."""
    version = server.register(model)
    assert server.move("grace", model, version, "Production").status_code == 200
    alias = {"name": model, "alias": "champion", "version": version}
    assert server.post(CONTROLLER, "registered-models/alias", **alias).status_code == 200
    return version, datetime.now(UTC)


def test_a_history_says_what_was_where_by_whose_decision(server: Server, model: str) -> None:
    _, after_first = promoted(server, model)
    promoted(server, model)
    server.move(CONTROLLER, model, "1", "Archived")
    server.register(model)
    now = history(server, model)
    assert now["champion"]["version"] == "2"
    assert now["champion"]["decision"]["by"] == "grace"
    assert {one["stage"]: one["count"] for one in now["stages"]} == {"Production": 1, "Archived": 1, "None": 1}
    assert [one["version"] for one in now["champions"]] == ["2", "1"]
    then = history(server, model, after_first)
    assert then["champion"]["version"] == "1"
    assert then["champion"]["until"] is None
    assert [one["stage"] for one in then["stages"]] == ["Production"]
    assert "version 2" in "\n".join(history_lines(now))


def test_times_outside_of_the_history_are_answered_with_sense(server: Server, model: str) -> None:
    promoted(server, model)
    future = history(server, model, "2999-01-01")
    assert future["champion"]["version"] == "1"
    past = history(server, model, "1999-01-01T00:00:00+02:00")
    assert past["stages"] == []
    assert "nothing. Its first event is of" in "\n".join(history_lines(past))
    for wrong in ("soon", "2026-13-01", "9999-12-31T23:59:59-23:59"):
        answer = server.call("ada", "GET", f"/flywheel/api/history/{model}?at={quote(wrong)}")
        assert answer.status_code == 400
        assert "is no time" in answer.json()["message"]


def test_an_unknown_model_is_404_and_one_without_versions_has_no_history_yet(server: Server, model: str) -> None:
    answer = server.call("ada", "GET", "/flywheel/api/history/no-such-model")
    assert answer.status_code == 404
    assert "no-such-model" in answer.json()["message"]
    assert list(history_lines(history(server, model))) == [f"{model} has no versions yet."]


def test_without_a_controller_the_newest_in_production_counts(server: Server, model: str) -> None:
    for _ in range(2):
        server.move("grace", model, server.register(model), "Production")
    found = history(server, model)
    assert not found["by_alias"]
    assert found["champion"]["version"] == "2"
    assert [one["version"] for one in found["champions"]] == ["2", "1"]


def test_a_renamed_model_keeps_its_history_and_a_new_one_of_its_old_name_has_none_of_it(
    server: Server, model: str
) -> None:
    server.move("ada", model, server.register(model), "Staging")
    new = f"{model}-new"
    assert server.post("admin", "registered-models/rename", name=model, new_name=new).status_code == 200
    assert [(one["stage"], one["count"]) for one in history(server, new)["stages"]] == [("Staging", 1)]
    server.made("ada", "registered-models/create", name=model)
    server.register(model)
    assert [(one["stage"], one["count"]) for one in history(server, model)["stages"]] == [("None", 1)]


def test_a_deleted_model_still_has_its_history(server: Server, model: str) -> None:
    server.register(model)
    assert server.call("ada", "DELETE", "mlflow/registered-models/delete", json={"name": model}).status_code == 200
    assert [(one["stage"], one["count"]) for one in history(server, model)["stages"]] == [("Deleted_Internal", 1)]


def test_ten_thousand_versions_take_less_than_200_ms(owner: sa.Engine) -> None:
    """In a transaction that is undone: the trail of others stays as it is."""
    model = f"long-{uuid.uuid4().hex[:8]}"
    with owner.connect() as connection, connection.begin() as undone:
        # Without the triggers, which take ten seconds for so many; the chain is not what is tested here.
        connection.execute(sa.text("CREATE TEMPORARY TABLE events (LIKE flywheel.events INCLUDING INDEXES)"))
        connection.execute(sa.text("ALTER TABLE pg_temp.events ALTER COLUMN transaction DROP NOT NULL"))
        rows = _long(model, 10_000)
        connection.execute(events.EVENTS.to_metadata(sa.MetaData(), schema="pg_temp").insert(), rows)
        connection.execute(sa.text("ANALYZE pg_temp.events"))
        moved = connection.execution_options(schema_translate_map={"flywheel": "pg_temp"})
        for when in (None, rows[10_000]["at"]):
            assert _best(partial(account, moved, model, when), 0.2) < 0.2
        found = account(moved, model, None)
        assert found is not None
        assert found.champion_count == 100
        assert sum(one.count for one in found.stages) == 10_000
        undone.rollback()


def _best(work: Callable[[], object], enough: float) -> float:
    """Return the least time of thirty tries, in seconds, or the first below `enough`: others use this machine too."""
    best = float("inf")
    for _ in range(30):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
        if best < enough:
            break
    return best


def _long(model: str, count: int) -> list[dict[str, Any]]:
    head, at, rows = Head(0, ""), datetime(2026, 1, 1, tzinfo=UTC), []
    for number in range(1, count + 1):
        name = {"model": model, "version": str(number), "author": "ada"}
        said: list[tuple[EventKind, dict[str, Any]]] = [
            (EventKind.VERSION_CREATED, {**name, "source": "x" * 200}),
            (EventKind.TRANSITION, {**name, "from": "None", "to": "Staging"}),
        ]
        if number % 100 == 0:
            said.append((EventKind.TRANSITION, {**name, "from": "Staging", "to": "Production", "digest": "sha256:1"}))
            said.append((EventKind.ALIAS_MOVED, {"model": model, "alias": "champion", "version": str(number)}))
        for kind, body in said:
            at += timedelta(minutes=1)
            event = events.chained(head, kind, f"{model}/{number}", "ada", body, at)
            head = Head(event.seq, event.hash)
            rows.append({**vars(event), "kind": str(kind), "body": events.canonical(event.body)})
    return rows
