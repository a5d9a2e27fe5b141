"""Queries on real databases: Postgres, SQLite and DuckDB; types, faults, and no password anywhere."""

import secrets
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from sqlalchemy.engine.url import URL
from typer.testing import CliRunner

from flywheel.errors import DataError, FlywheelError, TransientError
from flywheel.settings import Settings
from flywheel.stack import postgres
from flywheel.stack.databases import connect
from flywheel.stack.down import end_stack, erase
from flywheel.stack.parts import all_parts, await_healthy
from flywheel.stack.ports import choose_ports
from flywheel.stack.supervisor import start_program, start_supervisor, write_program
from flywheel.usecase import Source, load_usecase, parse_usecase
from training.data.features import load_features
from training.init.cli import app as init
from training.sources.addresses import database_file, fill_in
from training.sources.origin import Table, hide_login
from training.sources.rows import load_source
from training.sources.table import read_table

NOW = datetime(2024, 2, 1)
PASSWORD = "a@pass/word"


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """Yield the address of a plain Postgres with a table `orders`."""
    folder = Path(tempfile.mkdtemp(prefix="flywheel-source-"))
    folder.chmod(0o755)
    settings = Settings(home=folder / "home")
    ports = choose_ports(settings)
    place = postgres.locate(settings)
    url = postgres.owner_url(ports.postgres, secrets.token_hex(8))
    try:
        start_supervisor(settings)
        postgres.initialise(settings, place, str(url.password))
        write_program(settings, postgres.program(place, ports.postgres))
        start_program(settings, postgres.NAME)
        text = url.render_as_string(hide_password=False)
        await_healthy(settings, all_parts(settings, ports, text, embedded=True)["Postgres"])
        with connect(url) as database, database.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE orders (id bigint, at timestamptz, day date, price numeric(9, 2), name varchar(9),"
                " small smallint, ratio real, paid boolean, late boolean)"
            )
            cursor.execute(
                "INSERT INTO orders VALUES (1, '2024-01-01 02:00+02', '2024-01-01', 9.50, 'one', 3, 0.5, true, false),"
                " (2, '2024-01-02 00:00Z', NULL, NULL, NULL, NULL, NULL, NULL, true)"
            )
            cursor.execute(f"CREATE ROLE buyer LOGIN PASSWORD '{PASSWORD}'")
            cursor.execute("GRANT SELECT ON orders TO buyer")
        yield url
    finally:
        end_stack(settings)
        erase(settings)
        shutil.rmtree(folder)


@pytest.fixture
def address(server: URL, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of `orders` with its password in the environment, as usecase.yaml would have it."""
    monkeypatch.setenv("BUYER_PASSWORD", PASSWORD)
    return f"postgresql://buyer:${{BUYER_PASSWORD}}@127.0.0.1:{server.port}/{server.database}"


def read(database: str, query: str, folder: Path = Path()) -> Table:
    return read_table(Source(kind="sql", path=None, database=database, query=query), folder, NOW)


def test_postgres_gives_types_and_gaps_as_they_are(address: str, tmp_path: Path) -> None:
    data = {
        "source": {"kind": "sql", "database": address, "query": "SELECT * FROM orders ORDER BY id DESC"},
        "entity": "id",
        "event_time": "at",
        "label": {"column": "late"},
    }
    found = load_source(parse_usecase({"name": "orders", "data": data}, "test").data, tmp_path, NOW)
    assert dict(found.rows.schema) == {
        "id": pl.Int64(),
        "at": pl.Datetime("us"),
        "day": pl.Datetime("us"),
        "price": pl.Float64(),
        "name": pl.String(),
        "small": pl.Int64(),
        "ratio": pl.Float64(),
        "paid": pl.Boolean(),
        "late": pl.Int8(),
    }
    assert found.rows.rows() == [
        (1, datetime(2024, 1, 1), datetime(2024, 1, 1), 9.5, "one", 3, 0.5, True, 0),
        (2, datetime(2024, 1, 2), None, None, None, None, None, None, 1),
    ]
    assert found.origin.query == "SELECT * FROM orders ORDER BY id DESC"
    assert PASSWORD not in str(found.origin)
    assert "buyer" not in str(found.origin)


def test_a_query_may_lie_in_a_file_beside_the_use_case(address: str, tmp_path: Path) -> None:
    (tmp_path / "orders.sql").write_text("SELECT id\nFROM orders\nORDER BY id")
    found = read(address, "orders.sql", tmp_path)
    assert found.frame["id"].to_list() == [1, 2]
    assert found.origin.query == "SELECT id\nFROM orders\nORDER BY id"
    with pytest.raises(DataError, match=r"gone\.sql cannot be read: No such file"):
        read(address, "gone.sql", tmp_path)


@pytest.mark.parametrize(
    ("change", "query", "kind", "sentence"),
    [
        (("", ""), "SELECT * FROM nothing", DataError, 'failed: .*relation "nothing" does not exist'),
        (("", ""), "SELEKT", DataError, "failed: .*syntax error"),
        (("", ""), "SELECT 1/0 AS a", DataError, "failed: .*division by zero"),
        (("${BUYER_PASSWORD}", "wrong-word"), "SELECT 1", DataError, "password authentication failed"),
        (("/flywheel", "/nowhere"), "SELECT 1", DataError, 'database "nowhere" does not exist'),
        (("buyer:", "${NOT_SET}:"), "SELECT 1", DataError, "NOT_SET .data.source.database. is not set"),
        (("postgresql", "mysql"), "SELECT 1", DataError, "'mysql://127.0.0.1:.* cannot be read. Write postgresql"),
        (("127.0.0.1:", "127.0.0.1:1"), "SELECT 1", (DataError, TransientError), "127.0.0.1"),
    ],
)
def test_a_query_that_fails_is_one_sentence_without_a_password(
    address: str, server: URL, change: tuple[str, str], query: str, kind: type[FlywheelError], sentence: str
) -> None:
    wrong = address.replace(f"/{server.database}", "/flywheel") if change[0] == "/flywheel" else address
    with pytest.raises(kind, match=sentence) as caught:
        read(wrong.replace(*change) if change[0] else wrong, query)
    text = str(caught.value)
    assert "\n" not in text
    assert not {PASSWORD, "a%40pass%2Fword", "wrong-word"} & set(text.replace("'", " ").split())
    assert "word@" not in text


def test_a_database_that_does_not_answer_is_a_passing_fault() -> None:
    with pytest.raises(TransientError, match=r"Database postgresql://127\.0\.0\.1:1/db went away or does not answer"):
        read("postgresql://user:secret@127.0.0.1:1/db", "SELECT 1")


def test_a_connection_that_ends_mid_read_is_a_passing_fault(address: str, server: URL) -> None:
    def end_it() -> None:
        deadline = time.monotonic() + 20
        with connect(server) as database, database.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'buyer'")
                if cursor.fetchall():
                    return

    killer = threading.Thread(target=end_it)
    killer.start()
    with pytest.raises(TransientError, match="went away or does not answer") as caught:
        read(address, "SELECT i, pg_sleep(0.01)::text FROM generate_series(1, 3000) AS i")
    killer.join()
    assert PASSWORD not in str(caught.value)


def test_sqlite_is_typed_by_all_of_its_rows(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE sales (n, s, at)")
        database.executemany(
            "INSERT INTO sales VALUES (?, ?, ?)",
            [(i if i < 2000 else i + 0.5, None if i < 2000 else "late text", "2024-01-01") for i in range(2010)],
        )
    database.close()
    found = read("sqlite:///shop.db", "SELECT * FROM sales", tmp_path)
    assert found.frame.schema == {"n": pl.Float64, "s": pl.String, "at": pl.String}
    assert read(f"sqlite:////{str(tmp_path / 'shop.db')[1:]}", "SELECT n FROM sales").frame.height == 2010
    with pytest.raises(DataError, match=r"Query on sqlite:///shop\.db failed: .*no such table: gone"):
        read("sqlite:///shop.db", "SELECT * FROM gone", tmp_path)
    with pytest.raises(DataError, match=r"gone\.db does not exist"):
        read("sqlite:///gone.db", "SELECT 1", tmp_path)
    with pytest.raises(DataError, match="has no rows"):
        read("sqlite:///shop.db", "SELECT * FROM sales WHERE n < 0", tmp_path)


def test_duckdb_comes_as_arrow_with_its_types(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as database:
        database.execute(
            "CREATE TABLE sales AS SELECT 1.5::decimal(5, 2) AS d, timestamptz '2024-01-01 02:00+02' AS at,"
            " date '2024-01-01' AS day, 'x' AS s, 3::hugeint AS h, true AS b"
        )
    frame = read("duckdb:///shop.duckdb", "SELECT * FROM sales", tmp_path).frame
    moment = frame["at"][0].astimezone(UTC)
    assert (moment, frame["day"][0], frame["s"][0]) == (datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 1), "x")
    assert float(frame["d"][0]) == 1.5
    with pytest.raises(DataError, match=r"Query on duckdb:///shop\.duckdb failed: .*nothing does not exist"):
        read("duckdb:///shop.duckdb", "SELECT * FROM nothing", tmp_path)
    with pytest.raises(DataError, match=r"failed: .*read-only"):
        read("duckdb:///shop.duckdb", "CREATE TABLE other (a int)", tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database " * 100)
    for scheme in ("sqlite", "duckdb"):
        with pytest.raises(DataError, match=f"Query on {scheme}:///notes.db failed"):
            read(f"{scheme}:///notes.db", "SELECT 1 AS a", tmp_path)


def test_what_stands_in_the_login_is_escaped_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "p@ss/w:rd")
    monkeypatch.setenv("PLACE", "postgresql://u:p@h/db")
    assert fill_in("postgresql://u:${SECRET}@h/db") == "postgresql://u:p%40ss%2Fw%3Ard@h/db"
    assert fill_in("${PLACE}") == "postgresql://u:p@h/db"


def test_logins_are_hidden_in_any_text() -> None:
    text = "at postgresql://u:p@h:5/db?password=abc&x=1 and 'postgres://v:q@i/e'"
    assert hide_login(text) == "at postgresql://h:5/db?password=…&x=1 and 'postgres://i/e'"
    assert hide_login("mail me@home, s3://bucket/a@b") == "mail me@home, s3://bucket/a@b"


def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    assert database_file("sqlite:///a.db", tmp_path) == tmp_path / "a.db"
    assert database_file(f"sqlite:///{tmp_path}/a.db", Path("/nowhere")) == tmp_path / "a.db"


def test_init_writes_a_use_case_on_postgres_that_runs_and_holds_no_password(
    address: str, server: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(server) as database, database.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE visits AS SELECT 'v' || i AS visit_id,"
            " timestamptz '2023-01-01Z' + i * interval '1 hour' AS at,"
            " (i * 7919 % 101)::numeric AS price, i % 3 = 0 AS member, (i * 31 % 7 > 3)::int AS back"
            " FROM generate_series(1, 1500) AS i"
        )
        cursor.execute("GRANT SELECT ON visits TO buyer")
    monkeypatch.chdir(tmp_path)
    plain = address.replace("${BUYER_PASSWORD}", "a%40pass%2Fword")
    words = ["--query", "SELECT * FROM visits", "--label", "back", "--event-time", "at"]
    for given, folder in ((address, "named"), (plain, "plain")):
        result = CliRunner().invoke(init, [given, *words, "--into", folder], standalone_mode=False)
        assert result.exception is None
        written = "".join(path.read_text() for path in Path(folder).iterdir())
        assert not {PASSWORD, "a%40pass%2Fword"} & set(written.replace(":", " ").replace("@", " ").split())
        assert "%2Fword" not in written + result.output
    monkeypatch.setenv("SOURCE_PASSWORD", PASSWORD)
    for folder in ("named", "plain"):
        usecase = load_usecase(tmp_path / folder / "usecase.yaml")
        loaded = load_source(usecase.data, tmp_path / folder, NOW, usecase.task)
        assert loaded.rows.height == 1500
        assert usecase.data.entity == "visit_id"
        assert load_features(tmp_path / folder / "features.py")(loaded.rows).height == 1500
