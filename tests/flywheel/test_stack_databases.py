"""A Postgres that somebody else runs: what Flywheel needs of it, and what it says when it does not get it."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine.url import URL

from flywheel.errors import StackError
from flywheel.settings import Settings
from flywheel.stack import databases, postgres
from flywheel.stack.databases import ROLES, check_owner, connect, parse_owner_url, prepare_databases
from flywheel.stack.down import end_stack, erase
from flywheel.stack.parts import all_parts, await_healthy
from flywheel.stack.ports import choose_ports
from flywheel.stack.supervisor import start_program, start_supervisor, write_program

PASSWORDS = {key: secrets.token_hex(8) for key in ROLES}


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """Yield the address of a plain Postgres's superuser; its home lies below a private folder on purpose."""
    folder = Path(tempfile.mkdtemp(prefix="flywheel-database-"))  # mode 700
    settings = Settings(home=folder / "home")
    ports = choose_ports(settings)
    place = postgres.locate(settings)
    assert postgres.locate(settings) == place
    url = postgres.owner_url(ports.postgres, "the-owner")
    try:
        start_supervisor(settings)
        postgres.initialise(settings, place, "the-owner")
        postgres.initialise(settings, place, "never-set")
        write_program(settings, postgres.program(place, ports.postgres))
        start_program(settings, postgres.NAME)
        text = url.render_as_string(hide_password=False)
        await_healthy(settings, all_parts(settings, ports, text, embedded=True)["Postgres"])
        yield url
    finally:
        end_stack(settings)
        erase(settings)
        assert not place.data.exists()
        shutil.rmtree(folder)


def user(server: URL, name: str, rights: str) -> URL:
    with connect(server) as database, database.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'a-password' {rights}")
    return server.set(username=name, password="a-password")


def test_a_user_that_may_create_databases_and_roles_is_enough(server: URL) -> None:
    ours = user(server, "deputy", "CREATEDB CREATEROLE")
    check_owner(ours)
    urls = prepare_databases(ours, PASSWORDS)
    assert prepare_databases(ours, PASSWORDS) == urls
    assert set(urls) == set(ROLES)
    assert [databases.answers(url) for url in urls.values()] == [None] * len(ROLES)
    with connect(parse_owner_url(urls["server"])) as database, database.cursor() as cursor:
        cursor.execute("CREATE TABLE mine (a int); DROP TABLE mine")
    with (
        connect(parse_owner_url(urls["reader"])) as database,
        database.cursor() as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        cursor.execute("CREATE TABLE theirs (a int)")


def test_a_user_without_the_rights_is_told_which_statement_grants_them(server: URL) -> None:
    poor = user(server, "poor", "")
    with pytest.raises(StackError, match="Grant it: ALTER ROLE poor CREATEDB CREATEROLE") as raised:
        check_owner(poor)
    assert "a-password" not in str(raised.value)


def test_a_database_of_somebody_else_is_not_taken_over(server: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(databases.OWNERS, "postgres", "server")
    with pytest.raises(StackError, match=r"Database 'postgres' at .* belongs to 'flywheel'"):
        prepare_databases(server, PASSWORDS)


def test_a_wrong_password_is_one_sentence_without_it(server: URL) -> None:
    with pytest.raises(StackError, match=r"cannot be reached: .*password authentication failed") as raised:
        check_owner(server.set(password="not-the-one"))
    assert "not-the-one" not in str(raised.value)


def test_no_password_reaches_the_servers_log(server: URL) -> None:
    urls = prepare_databases(server, PASSWORDS)
    with connect(server) as database, database.cursor() as cursor:
        cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'fw_server'")
        row = cursor.fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    assert PASSWORDS["server"] in urls["server"]
