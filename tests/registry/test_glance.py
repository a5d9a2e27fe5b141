"""Short reads beside sessions: true at once, outside of any transaction, and whole again after Postgres was away."""

import threading
from collections.abc import Iterator

import psycopg2
import pytest
import sqlalchemy as sa

from flywheel.settings import Settings
from registry.glance import CONNECTIONS, glance
from tests.registry.own_store import own_database


@pytest.fixture
def engine(stack: Settings) -> Iterator[sa.Engine]:
    with own_database(stack) as url:
        made = sa.create_engine(url)
        with made.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE things (name text, size int)")
            connection.exec_driver_sql("INSERT INTO things VALUES ('a', 1), ('b', 2)")
        yield made
        made.dispose()


def test_rows_are_as_they_are_now(engine: sa.Engine) -> None:
    query = "SELECT size FROM things WHERE name = %(name)s"
    assert glance(engine, query, {"name": "a"}) == [(1,)]
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE things SET size = 3 WHERE name = 'a'")
        assert glance(engine, query, {"name": "a"}) == [(1,)], "what is not committed is not there"
    assert glance(engine, query, {"name": "a"}) == [(3,)]
    assert glance(engine, "SELECT 1 WHERE false") == []


def test_it_leaves_no_transaction_open(engine: sa.Engine) -> None:
    glance(engine, "SELECT name FROM things")
    with engine.connect() as connection:
        states = connection.exec_driver_sql(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert set(states.scalars()) == {"idle"}


def test_a_connection_that_died_is_replaced(engine: sa.Engine) -> None:
    glance(engine, "SELECT 1")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert glance(engine, "SELECT count(*) FROM things") == [(2,)]


def test_a_wrong_query_spoils_nothing(engine: sa.Engine) -> None:
    with pytest.raises(psycopg2.errors.UndefinedTable):
        glance(engine, "SELECT * FROM nothing")
    assert glance(engine, "SELECT 1") == [(1,)]


def test_many_readers_share_few_connections(engine: sa.Engine) -> None:
    found: list[object] = []
    readers = [
        threading.Thread(target=lambda: found.extend(glance(engine, "SELECT pg_backend_pid(), pg_sleep(0.01)::text")))
        for _ in range(40)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(found) == 40
    assert len(set(found)) <= CONNECTIONS
