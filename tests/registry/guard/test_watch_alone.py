"""The watch on a database of its own: what it leaves alone, what it only tells, how it copes with much."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.errors import IntegrityError, TransientError
from flywheel.events import Event, EventKind
from flywheel.settings import Settings
from registry.guard.chain import ChainCheck
from registry.guard.watch import PointerWatch
from tests.registry.own_database import insert_version, intrude, move, own_database, register

pytestmark = pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")


@pytest.fixture
def engine(stack: Settings) -> Iterator[sa.Engine]:
    with own_database(stack) as made:
        yield made


@pytest.fixture
def watch(engine: sa.Engine) -> Iterator[PointerWatch]:
    made = PointerWatch(engine)
    yield made
    made.close()


def recorded(engine: sa.Engine, kind: EventKind) -> list[Event]:
    with engine.connect() as connection:
        return events.read(connection, kind)


def stages(engine: sa.Engine) -> dict[tuple[str, int], str]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT name, version, current_stage FROM model_versions"))
        return {(row.name, row.version): row.current_stage for row in rows}


def test_what_the_gate_moved_stays_and_is_no_event(engine: sa.Engine, watch: PointerWatch) -> None:
    with engine.begin() as connection:
        register(connection, "churn", 1)
        move(connection, "churn", 1, "Production")
    watch.run()
    with engine.begin() as connection:
        move(connection, "churn", 1, "Archived")
    watch.run()
    assert recorded(engine, EventKind.POINTER_REVERTED) == []
    assert stages(engine) == {("churn", 1): "Archived"}


def test_a_move_of_the_gate_between_look_and_lock_is_not_put_back(
    engine: sa.Engine, watch: PointerWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin() as connection:
        register(connection, "churn", 1)
    watch.run()
    intrude(engine, "UPDATE model_versions SET current_stage = 'Production'")
    lock_head = events.lock_head

    def after_the_gate(connection: sa.Connection) -> events.Head:
        monkeypatch.undo()
        with engine.begin() as other:
            move(other, "churn", 1, "Production")  # the same move, but with its event
        return lock_head(connection)

    monkeypatch.setattr(events, "lock_head", after_the_gate)
    watch.run()
    assert stages(engine) == {("churn", 1): "Production"}
    assert recorded(engine, EventKind.POINTER_REVERTED) == []


def test_rows_from_before_the_gate_keep_their_stage_and_later_ones_without_an_event_do_not(
    engine: sa.Engine, watch: PointerWatch
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO registered_models (name) VALUES ('old')")
    intrude(engine, "INSERT INTO registered_model_aliases (name, alias, version) VALUES ('old', 'best', 1)")
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        insert_version(connection, "old", 1, current_stage="Production", creation_time=1)
        insert_version(connection, "old", 2, current_stage="Production")
        connection.exec_driver_sql("SET LOCAL session_replication_role = origin")
        register(connection, "churn", 1)
    watch.run()
    assert stages(engine) == {("old", 1): "Production", ("old", 2): "None", ("churn", 1): "None"}
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM registered_model_aliases")) == 1


def test_a_deleted_row_is_told_once_also_over_a_restart(engine: sa.Engine, watch: PointerWatch) -> None:
    with engine.begin() as connection:
        register(connection, "churn", 1)
        register(connection, "churn", 2)
    intrude(engine, "DELETE FROM model_versions WHERE version = 2")
    watch.run()
    watch.run()
    again = PointerWatch(engine)
    again.run()
    again.close()
    (alert,) = recorded(engine, EventKind.ALERT)
    assert (alert.subject, alert.body["what"]) == ("churn", "pointer.lost")
    assert "versions 2 of 'churn' are gone" in alert.body["sentence"]


def test_an_alias_whose_model_is_gone_is_left_alone(engine: sa.Engine, watch: PointerWatch) -> None:
    with engine.begin() as connection:
        register(connection, "churn", 1)
        body = {"model": "churn", "alias": "champion", "version": "1"}
        events.append(connection, EventKind.ALIAS_MOVED, "churn/1", "svc-controller", body)
        insert = "INSERT INTO registered_model_aliases (name, alias, version) VALUES ('churn', 'champion', 1)"
        connection.exec_driver_sql(insert)
    watch.run()
    intrude(engine, "DELETE FROM registered_model_aliases")
    intrude(engine, "DELETE FROM model_versions")
    intrude(engine, "DELETE FROM registered_models")
    watch.run()
    assert [alert.body["what"] for alert in recorded(engine, EventKind.ALERT)] == ["pointer.lost"]


def test_triggers_that_were_disabled_or_dropped_come_back_and_are_told(engine: sa.Engine, watch: PointerWatch) -> None:
    with engine.begin() as connection:
        register(connection, "churn", 1)
        connection.exec_driver_sql("ALTER TABLE model_versions DISABLE TRIGGER USER")
        connection.exec_driver_sql("ALTER TABLE flywheel.events DISABLE TRIGGER USER")
        connection.exec_driver_sql("DROP TRIGGER flywheel_stage_born ON model_versions")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET current_stage = 'Production'")
    watch.run()
    assert [alert.body["what"] for alert in recorded(engine, EventKind.ALERT)] == ["guard.disabled", "pointer.moved"]
    assert stages(engine) == {("churn", 1): "None"}
    with engine.connect() as connection:
        assert events.unguarded(connection) == []
    with pytest.raises(sa.exc.DBAPIError, match="without an event"), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET current_stage = 'Production'")


def test_while_the_chain_is_broken_nothing_is_put_back_and_one_alert_says_so(
    engine: sa.Engine, watch: PointerWatch
) -> None:
    with engine.begin() as connection:
        for version in (1, 2, 3):
            register(connection, "churn", version)
    intrude(engine, "DELETE FROM flywheel.events WHERE seq = 2")
    intrude(engine, "UPDATE model_versions SET current_stage = 'Production' WHERE version = 1")
    for _ in range(3):
        with pytest.raises(IntegrityError, match="event 2 is missing"):
            watch.run()
    assert stages(engine)["churn", 1] == "Production"
    (alert,) = recorded(engine, EventKind.ALERT)
    assert alert.body["what"] == "chain.broken"


def test_an_event_that_was_altered_after_the_watch_read_it_is_found_by_the_chain_check(
    engine: sa.Engine, watch: PointerWatch
) -> None:
    with engine.begin() as connection:
        register(connection, "churn", 1)
    check = ChainCheck(engine)
    watch.run()
    check.run()
    intrude(engine, "UPDATE flywheel.events SET actor = 'grace'")
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"event 1 .* was altered"):
            check.run()
    assert [alert.body["what"] for alert in recorded(engine, EventKind.ALERT)] == ["chain.altered"]


def test_a_lost_connection_is_a_passing_fault_and_the_next_run_works(engine: sa.Engine, watch: PointerWatch) -> None:
    with engine.begin() as connection:
        register(connection, "churn", 1)
    watch.run()
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(TransientError, match="cannot be compared"):
        watch.run()
    intrude(engine, "UPDATE model_versions SET current_stage = 'Production'")
    watch.run()
    assert stages(engine) == {("churn", 1): "None"}


def test_ten_thousand_versions_cost_little_and_all_of_them_moved_at_once_are_back_within_ten_seconds(
    engine: sa.Engine, watch: PointerWatch
) -> None:
    with engine.begin() as connection:
        _ten_thousand(connection)
    watch.run()
    spent = []
    for _ in range(10):
        began = time.perf_counter()
        watch.run()
        spent.append(time.perf_counter() - began)
    assert min(spent) < 0.05
    intrude(engine, "UPDATE model_versions SET current_stage = 'Production' WHERE version <= 1000")
    began = time.perf_counter()
    watch.run()
    assert time.perf_counter() - began < 10
    assert set(stages(engine).values()) == {"None"}
    assert len(recorded(engine, EventKind.POINTER_REVERTED)) == 1000


def _ten_thousand(connection: sa.Connection) -> None:
    head, rows = events.lock_head(connection), []
    connection.exec_driver_sql("INSERT INTO registered_models (name) VALUES ('many')")
    connection.exec_driver_sql(
        "INSERT INTO model_versions (name, version, source, storage_location, current_stage) "
        "SELECT 'many', n, 's3://b/' || n, 's3://b/' || n, 'None' FROM generate_series(1, 10000) n"
    )
    for number in range(1, 10_001):
        body = {"model": "many", "version": str(number), "source": f"s3://b/{number}"}
        event = events.chained(head, EventKind.VERSION_CREATED, f"many/{number}", "ada", body, datetime.now(UTC))
        head = events.Head(event.seq, event.hash)
        rows.append({**vars(event), "kind": str(event.kind), "body": events.canonical(body)})
    connection.execute(events.EVENTS.insert(), rows)
