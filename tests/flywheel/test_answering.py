"""Connections to a real Postgres that wait only so long."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from flywheel import database
from flywheel.settings import Settings
from tests.training.database import Database


@pytest.fixture(scope="module")
def postgres() -> Iterator[Database]:
    made = Database()
    yield made
    made.close()


@pytest.fixture
def connection(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Connection]:
    monkeypatch.setattr(database, "secrets", lambda _: SimpleNamespace(databases={"controller": postgres.url}))
    with database.open_database(Settings(), "controller", most_seconds=1) as engine, engine.connect() as found:
        yield found


def test_the_server_gives_up_first_and_the_connection_lives(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.OperationalError, match="statement timeout"):
        connection.execute(sa.text("SELECT pg_sleep(60)"))
    connection.rollback()
    assert not connection.invalidated
    assert connection.scalar(sa.text("SELECT 1")) == 1


def test_where_the_server_does_not_the_client_does_and_connects_anew(connection: sa.Connection) -> None:
    connection.execute(sa.text("SET statement_timeout = 0"))
    with pytest.raises(sa.exc.OperationalError):
        connection.execute(sa.text("SELECT pg_sleep(60)"))
    assert connection.invalidated
    connection.rollback()
    assert connection.scalar(sa.text("SELECT 1")) == 1


def test_a_commit_has_its_time_too(connection: sa.Connection) -> None:
    connection.execute(sa.text("SET statement_timeout = 0"))
    connection.execute(
        sa.text(
            "CREATE TEMP TABLE late (one int); CREATE FUNCTION pg_temp.late() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.late(); INSERT INTO late VALUES (1)"
        )
    )
    with pytest.raises(sa.exc.OperationalError):
        connection.commit()


def test_what_answers_leaves_nothing_behind(connection: sa.Connection) -> None:
    before = threading.active_count()
    for _ in range(100):
        assert connection.scalar(sa.text("SELECT 1")) == 1
    connection.execute(sa.text("SELECT :one"), [{"one": 1}, {"one": 2}])
    connection.commit()
    assert threading.active_count() <= before + 1  # a timer that was cancelled may be on its way out
