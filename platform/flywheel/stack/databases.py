"""Databases and roles inside a Postgres: who owns what, and the address each role connects with.

Statements are safe to repeat. Passwords go in as SCRAM verifiers, so that no log of Postgres can hold one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812  # psycopg2 names its class in lower case
from psycopg2.extensions import encrypt_password
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.exc import ArgumentError

from flywheel.errors import StackError, UsageError

DRIVER = "postgresql+psycopg2"  # SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3
# Role by its key in Secrets.databases, and the database it works in.
ROLES = {
    "server": "fw_server",
    "controller": "fw_controller",
    "monitoring": "fw_monitoring",
    "reader": "fw_reader",
    "optuna": "fw_training",
}
OWNERS = {"mlflow": "server", "optuna": "optuna"}


def parse_owner_url(text: str) -> URL:
    """Read the address of a Postgres that somebody gave.

    Raises:
        UsageError: It is no Postgres address.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as fault:
        raise UsageError("DATABASE_URL is no address. Write postgresql://user:password@host:5432/postgres.") from fault
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise UsageError(
            f"DATABASE_URL names {url.get_backend_name()}. Write postgresql://user:password@host:5432/postgres."
        )
    return url.set(drivername=DRIVER)


def check_owner(url: URL) -> None:
    """Check that a Postgres answers and lets this user create databases and roles.

    Raises:
        StackError: It does not; the message holds no password.
    """
    with connect(url) as database, database.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user")
        row = cursor.fetchone()
    if not row or not row[0]:
        raise StackError(
            f"User '{url.username}' of {where(url)} may not create databases and roles. "
            f"Grant it: ALTER ROLE {url.username} CREATEDB CREATEROLE."
        )


def prepare_databases(url: URL, passwords: dict[str, str]) -> dict[str, str]:
    """Create what is missing of roles and databases; return the address of each role, by its key in `ROLES`.

    Raises:
        StackError: Postgres refuses, or a database of that name is somebody else's.
    """
    try:
        with connect(url) as database, database.cursor() as cursor:
            for key, role in ROLES.items():
                _role(database, role, passwords[key])
            for name, key in OWNERS.items():
                _database(database, name, ROLES[key], where(url))
            readers = [sql.Identifier(ROLES[key]) for key in ("controller", "monitoring", "reader")]
            cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE mlflow TO {}").format(sql.SQL(", ").join(readers)))
    except psycopg2.Error as fault:
        raise StackError(
            f"Postgres at {where(url)} refuses: {_first_line(fault)}. Check the rights of its user."
        ) from fault
    return {key: role_url(url, key, passwords[key]) for key in ROLES}


def role_url(url: URL, key: str, password: str) -> str:
    """Return the address with which a role connects."""
    name = next((name for name, owner in OWNERS.items() if owner == key), "mlflow")
    return url.set(username=ROLES[key], password=password, database=name).render_as_string(hide_password=False)


def answers(url: str) -> str | None:
    """Return why a Postgres does not answer, or None when it does."""
    try:
        with connect(make_url(url), timeout=2) as database, database.cursor() as cursor:
            cursor.execute("SELECT 1")
    except StackError as fault:
        return str(fault)
    return None


def where(url: URL) -> str:
    """Return host and port: what may be shown of an address."""
    return f"{url.host or 'the local socket'}:{url.port or 5432}"


@contextmanager
def connect(url: URL, *, timeout: int = 5) -> Iterator[Connection]:
    """Connect with autocommit, and close at the end.

    Raises:
        StackError: Nobody answers there, or the login is wrong.
    """
    try:
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        database = psycopg2.connect(text, connect_timeout=timeout)
    except psycopg2.OperationalError as fault:
        raise StackError(
            f"Postgres at {where(url)} cannot be reached: {_first_line(fault)}. Check that it runs, and DATABASE_URL."
        ) from fault
    database.autocommit = True
    try:
        yield database
    finally:
        database.close()


def _role(database: Connection, role: str, password: str) -> None:
    verifier = encrypt_password(password, role, scope=database, algorithm="scram-sha-256")
    with database.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        verb = "ALTER" if cursor.fetchone() else "CREATE"
        statement = sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}")
        cursor.execute(statement.format(sql.Identifier(role), sql.Literal(verifier)))
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        row = cursor.fetchone()
        if row and not row[0]:  # only a member may hand a database over
            cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _database(database: Connection, name: str, owner: str, place: str) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (name,))
        row = cursor.fetchone()
        if row is None:
            statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            cursor.execute(statement.format(sql.Identifier(name), sql.Identifier(owner)))
        elif row[0] != owner:
            raise StackError(
                f"Database '{name}' at {place} belongs to '{row[0]}'. Give Flywheel another Postgres, or rename it."
            )
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def _first_line(fault: Exception) -> str:
    lines = str(fault).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(fault).__name__
