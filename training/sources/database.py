"""A query on Postgres, SQLite or DuckDB, fetched as Arrow: no value passes through Python."""

from pathlib import Path

import adbc_driver_postgresql.dbapi as postgres
import adbc_driver_sqlite.dbapi as sqlite
import duckdb
import polars as pl
import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from flywheel.errors import DataError, TransientError
from training.sources.addresses import database_file, dialect_of, fill_in, postgres_address
from training.sources.faults import first_line
from training.sources.files import undisturbed
from training.sources.origin import Origin, Table, hide_login

# SQLite has no column types: they are inferred from the first batch, which therefore should be all rows.
SQLITE_BATCH = {"adbc.sqlite.query.batch_rows": str(2**24)}
DUCKDB_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false"
}  # reading a file needs none, and none is downloaded unasked
PASSING = ("terminat", "closed the connection", "refused", "timeout", "timed out", "starting up", "shutting down",
           "too many", "locked", "could not set lock", "busy", "no connection", "reset by peer")  # fmt: skip


def read_query(database: str, query: str, folder: Path) -> Table:
    """Run a query and fetch its rows.

    Args:
        database: The address; `${NAME}` is taken from the environment.
        query: A SELECT, or a .sql file in `folder`.
        folder: The use case's.

    Raises:
        DataError: The address, the login or the query is wrong.
        TransientError: The database does not answer, or went away meanwhile.
    """
    text, address = _query_text(query, folder), fill_in(database)
    dialect, place = dialect_of(address), hide_login(database)
    try:
        if dialect == "postgresql":
            rows = _postgres(postgres_address(address), text)
        else:
            file = database_file(address, folder)
            with undisturbed([file]):
                rows = _sqlite(file, text) if dialect == "sqlite" else _duckdb(file, text)
        return Table(_frame(rows), Origin("sql", place, query=text))
    except (AdbcError, duckdb.Error, pa.ArrowException, OSError) as fault:
        reason = _without_secrets(first_line(fault), address)
        if any(word in str(fault).lower() for word in PASSING):
            raise TransientError(
                f"Database {place} went away or does not answer: {reason}. Run again when it does."
            ) from None  # the cause may hold the address, and tracebacks are messages too
        raise DataError(
            f"Query on {place} failed: {reason}. Correct data.source.query or data.source.database."
        ) from None


def _query_text(query: str, folder: Path) -> str:
    if not query.strip().endswith(".sql") or len(query.split()) > 1:
        return query
    try:
        return (folder / query.strip()).read_text()
    except OSError as fault:
        raise DataError(
            f"Query file {folder / query.strip()} cannot be read: {fault.strerror}. Correct data.source.query."
        ) from fault


def _postgres(address: str, query: str) -> pa.Table:
    with postgres.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def _sqlite(file: Path, query: str) -> pa.Table:
    address = f"file:{_escaped(file)}?mode=ro"
    with sqlite.connect(address) as connection, connection.cursor(adbc_stmt_kwargs=SQLITE_BATCH) as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def _duckdb(file: Path, query: str) -> pa.Table:
    with duckdb.connect(str(file), read_only=True, config=DUCKDB_CONFIG) as connection:
        relation = connection.sql(query)
        if relation is None:
            raise DataError("data.source.query is no SELECT, so it gives no rows. Correct it.")
        return relation.to_arrow_table()


def _frame(rows: pa.Table) -> pl.DataFrame:
    """Take an Arrow table over; types that Arrow lacks come as they are stored, Postgres's numeric as doubles."""
    numeric = []
    for place, field in enumerate(rows.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            stored = [chunk.storage for chunk in rows.column(place).chunks]
            rows = rows.set_column(place, field.name, pa.chunked_array(stored, field.type.storage_type))
        if (field.metadata or {}).get(b"ADBC:postgresql:typname") == b"numeric":
            numeric.append(field.name)
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # a table gives a frame, an array a series
    return frame.with_columns(pl.col(numeric).cast(pl.Float64)) if numeric else frame


def _escaped(file: Path) -> str:
    return str(file.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _without_secrets(text: str, address: str) -> str:
    login = address.split("://", 1)[1].rpartition("@")[0]
    password = login.partition(":")[2]
    return hide_login(text.replace(password, "…") if password else text)
