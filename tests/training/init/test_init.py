"""`flywheel init`: a folder that runs as it is, with leaks, keys and useless columns left out and explained."""

import json
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from flywheel.errors import DataError, FlywheelError, UsageError
from flywheel.schema import USECASE
from flywheel.usecase import UseCase, load_usecase
from tests.flywheel.schema_check import violations
from training.data.features import load_features
from training.init.cli import app
from training.init.place import find_source, hidden_password, placed
from training.sources.rows import input_columns, load_rows

START = datetime(2023, 1, 1)
NOW = datetime(2026, 1, 1)
ROWS = 2000


def table(rows: int = ROWS) -> pl.DataFrame:
    """Make orders of 83 days, some late; with every kind of column that deserves a thought."""
    random = np.random.default_rng(5)
    weight = random.gamma(2, 3, rows)
    late = random.random(rows) < 1 / (1 + np.exp(4 - weight / 2))
    times = [START + timedelta(hours=hour) for hour in range(rows)]
    return pl.DataFrame(
        {
            "order_id": [f"o{i * 7919 % 100003}" for i in range(rows)],
            "ts": times,
            "weight": [None if i % 17 == 0 else value for i, value in enumerate(weight.tolist())],
            "items": random.integers(1, 9, rows),
            "depot_code": random.choice([10, 20, 70], rows),
            "carrier": random.choice(["north", "south", "post"], rows),
            "gift": random.random(rows) < 0.2,
            "ordered": [
                time - timedelta(minutes=int(m)) for time, m in zip(times, random.integers(1, 900, rows), strict=True)
            ],
            "minutes_late": np.where(late, random.gamma(2, 20, rows) + 15, random.normal(-5, 5, rows)),
            "complaint": [
                ("angry" if i % 2 else "sad") if hit and i % 3 else None for i, hit in enumerate(late.tolist())
            ],
            "arrived": [time + timedelta(hours=5) for time in times],
            "row": range(rows),
            "note": [f"note {i} of {i * 31}" for i in range(rows)],
            "nothing": pl.Series([None] * rows, dtype=pl.String),
            "country": ["NL"] * rows,
            "late": late.astype(int),
        }
    )


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as a person would."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str) -> str:
    """Run the command; return what it prints."""
    result = CliRunner().invoke(app, list(words), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def checked(folder: Path, now: datetime = NOW) -> tuple[UseCase, pl.DataFrame, pl.DataFrame]:
    """Load a written folder as training would; return the use case, its rows and their features."""
    path = folder / "usecase.yaml"
    usecase, schema = load_usecase(path), USECASE.schema()
    document = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=datetime.isoformat))
    assert violations(document, schema, schema) == []
    assert path.read_text().splitlines()[0] == "# yaml-language-server: $schema=usecase.schema.json"
    assert json.loads((folder / "usecase.schema.json").read_text()) == schema
    rows = load_rows(usecase.data, folder, usecase.train.until or now, usecase.task)
    return usecase, rows, load_features(folder / "features.py")(rows.select(input_columns(rows, usecase.data)))


def test_a_csv_becomes_a_folder_that_runs_with_reasons(here: Path) -> None:
    table().write_csv("data.csv")
    output = init("data.csv", "--label", "late", "--event-time", "ts")
    folder = here / "data"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "features.py",
        "usecase.schema.json",
        "usecase.yaml",
    ]
    usecase, rows, features = checked(folder)
    assert (usecase.name, usecase.task, usecase.data.entity) == ("data", "binary", "order_id")
    assert usecase.data.source.path == "../data.csv"
    excluded = {"minutes_late", "complaint", "arrived", "row", "note", "nothing", "country"}
    assert set(usecase.data.exclude) == excluded
    assert input_columns(rows, usecase.data) == ["ts", "weight", "items", "depot_code", "carrier", "gift", "ordered"]
    assert dict(features.schema) == {
        "weight": pl.Float64(),
        "items": pl.Int64(),
        "gift": pl.Boolean(),
        "carrier": pl.String(),
        "depot_code": pl.String(),
        "ordered_hours_before": pl.Float64(),
        "hour": pl.Int8(),
        "weekday": pl.Int8(),
    }
    assert features["ordered_hours_before"].min() > 0  # type: ignore[operator]
    text = (folder / "usecase.yaml").read_text()
    for line in (
        "- minutes_late # likely leak: alone it predicts the label of later rows with AUC",
        "- complaint # likely leak: where it is filled, the label is nearly always 1",
        "- arrived # it lies after the event time in 100% of rows",
        "- row # a different number in each row",
        "- note # a different text in each row",
        "- nothing # it has no value in any row",
        "- country # it is always NL",
        "available_after: 0s # 0s: at once",
        "entity: order_id # unique in each row and named like a key",
        "validation: 12d # 15% of the 83 days",
    ):
        assert line in " ".join(text.split()), line
    assert "# How long after the event is the label known?" in text
    for line in ("flywheel check data/usecase.yaml", "mlflow run . --env-manager local -P usecase=data/usecase.yaml"):
        assert line in output
        assert line in (folder / "README.md").read_text()
    assert "minutes_late" in output


def test_what_is_written_passes_the_linter(here: Path) -> None:
    table().write_parquet("data.parquet")
    init("data.parquet", "--label", "late", "--event-time", "ts")
    ruff = [str(Path(sys.executable).with_name("ruff")), "format", "--check", "--isolated", "--line-length", "120"]
    done = subprocess.run([*ruff, "data/features.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def write_folder_of_parquet() -> None:
    Path("months").mkdir()
    table().head(1000).write_parquet("months/1.parquet")
    table().tail(1000).write_parquet("months/2.parquet")


def write_sqlite() -> None:
    frame = table().select("order_id", pl.col("ts").dt.to_string(), "weight", "carrier", "late")
    with sqlite3.connect("shop.db") as database:
        database.execute("CREATE TABLE orders (order_id, ts, weight, carrier, late)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", frame.rows())
    database.close()


def write_duckdb() -> None:
    table().write_parquet("orders.parquet")
    with duckdb.connect("shop.duckdb") as database:
        database.execute("CREATE TABLE orders AS SELECT * FROM 'orders.parquet'")


@pytest.mark.parametrize(
    ("write", "words", "kind"),
    [
        (write_folder_of_parquet, ["months"], "parquet"),
        (write_folder_of_parquet, ["months/*.parquet", "--name", "Some Months"], "parquet"),
        (lambda: table().write_delta("orders"), ["orders", "--into", "deep/case"], "delta"),
        (write_sqlite, ["sqlite:///shop.db", "--query", "SELECT * FROM orders"], "sql"),
        (write_duckdb, ["duckdb:///shop.duckdb", "--query", "SELECT * FROM orders -- all of them"], "sql"),
    ],
)
def test_every_kind_of_source_gives_a_folder_that_runs(here: Path, write: Any, words: list[str], kind: str) -> None:
    write()
    extra = [] if {"--into", "--name"} & set(words) else ["--into", "case"]
    init(*words, *extra, "--label", "late", "--event-time", "ts")
    folder = here / ("some-months" if "--name" in words else "deep/case" if "--into" in words else "case")
    usecase, rows, features = checked(folder)
    assert usecase.data.source.kind == kind
    assert rows.height == features.height == ROWS
    assert {"weight", "carrier", "hour"} <= set(features.columns)


def test_a_query_may_come_from_a_file_and_a_source_from_python(here: Path) -> None:
    write_sqlite()
    Path("late.sql").write_text("SELECT *\nFROM orders")
    init("sqlite:///shop.db", "--query", "late.sql", "--label", "late", "--event-time", "ts", "--into", "one")
    assert checked(here / "one")[0].data.source.query == "../late.sql"
    table().write_parquet("orders.parquet")
    Path("source.py").write_text(
        "import polars as pl\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
        "def load(as_of):\n    return pl.read_parquet(HERE / 'orders.parquet').filter(pl.col('ts') < as_of)\n"
    )
    init("source.py", "--label", "late", "--event-time", "ts", "--into", "two")
    assert checked(here / "two")[0].data.source.path == "../source.py"


def test_times_kept_as_text_become_hours_before_the_event(here: Path) -> None:
    frame = table().with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    frame.with_columns(pl.col("ordered").dt.strftime("%Y-%m-%d %H:%M")).write_csv("data.csv")
    init("data.csv", "--label", "late", "--event-time", "ts")
    usecase, _, features = checked(here / "data")
    assert features["ordered_hours_before"].null_count() == 0
    assert "carry a zone of their own" in (here / "data/usecase.yaml").read_text()
    assert usecase.data.time_zone == "UTC"


@pytest.mark.parametrize(
    ("label", "task", "positive"),
    [
        (pl.Series(["yes", "no"] * 1000), "binary", "yes"),
        (pl.Series(["on", "off", "on", "on"] * 500), "binary", "off"),
        (pl.Series([1, 2] * 1000), "binary", 2),
        (pl.Series([True, False] * 1000), "binary", None),
        (pl.Series([0.0, 1.0, None, 1.0] * 500), "binary", None),
        (pl.Series(["sun", "rain", "snow", "sun"] * 500), "multiclass", None),
        (pl.Series([1, 2, 3, 4] * 500), "multiclass", None),
        (pl.Series(np.random.default_rng(1).normal(size=2000)), "regression", None),
        (pl.Series(np.random.default_rng(1).integers(0, 500, 2000)), "regression", None),
    ],
)
def test_the_label_decides_on_the_task(here: Path, label: pl.Series, task: str, positive: Any) -> None:
    random = np.random.default_rng(2).permutation(2000)
    frame = table().select("ts", "weight", "carrier").with_columns(label[random].alias("y"))
    frame.write_parquet("data.parquet")
    init("data.parquet", "--label", "y", "--event-time", "ts")
    usecase, rows, _ = checked(here / "data")
    assert (usecase.task, usecase.data.label.positive) == (task, positive)
    if label.null_count():
        assert usecase.data.label.max_missing == pytest.approx(0.3)
    if task == "binary":
        assert set(rows["y"].drop_nulls().to_list()) == {0, 1}


def test_labels_that_only_the_newest_rows_lack_suggest_a_delay(here: Path) -> None:
    frame = table().with_columns(pl.when(pl.int_range(pl.len()) < ROWS - 60).then(pl.col("late")).alias("late"))
    frame.write_parquet("data.parquet")
    init("data.parquet", "--label", "late", "--event-time", "ts")
    usecase, _, _ = checked(here / "data")
    assert usecase.data.label.available_after == timedelta(days=3)
    assert usecase.data.label.max_missing == 0.1


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_leaks_are_found_for_every_task(here: Path, task: str) -> None:
    random = np.random.default_rng(3)
    label = random.integers(0, 4, ROWS) if task == "multiclass" else random.normal(10, 3, ROWS)
    unknown = random.random(ROWS) < 0.05
    pl.DataFrame(
        {
            "ts": [START + timedelta(hours=hour) for hour in range(ROWS)],
            "honest": label + random.normal(0, 3, ROWS),
            "twin": label * -7 + random.normal(0, 0.01, ROWS),
            "settled": [None if gap else float(value) for gap, value in zip(unknown, random.random(ROWS), strict=True)],
            "y": [None if gap else value for gap, value in zip(unknown.tolist(), label.tolist(), strict=True)],
        }
    ).write_parquet("data.parquet")
    init("data.parquet", "--label", "y", "--event-time", "ts")
    usecase, _, features = checked(here / "data")
    assert usecase.task == task
    assert usecase.data.exclude == ("twin", "settled")
    assert "honest" in features.columns
    assert "filled only when the label is known" in (here / "data/usecase.yaml").read_text()


def test_data_of_the_future_trains_as_of_its_end(here: Path) -> None:
    ahead = datetime(2190, 1, 1) - START
    table().with_columns(pl.col("ts") + ahead, pl.col("ordered") + ahead).write_parquet("data.parquet")
    init("data.parquet", "--label", "late", "--event-time", "ts")
    _, rows, _ = checked(here / "data")
    assert rows.height == ROWS


def test_odd_names_survive_every_file(here: Path) -> None:
    odd = {
        "weight": 'it\'s "heavy": #1',
        "carrier": "Spediteur (größter)",
        "late": "yes",
        "ts": "when, exactly",
        "items": "hour",
    }
    table().select(*odd).rename(odd).write_parquet("my data, v2.parquet")
    init("my data, v2.parquet", "--label", "yes", "--event-time", "when, exactly")
    usecase, _, features = checked(here / "my-data-v2")
    assert usecase.data.label.column == "yes"
    assert set(features.columns) == {odd["weight"], odd["carrier"], "hour", "event_hour", "weekday"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.csv"], "--event-time is missing; the data has: order_id, ts, .*Likely: --event-time ts or ordered"),
        (["data.csv", "--event-time", "ts"], "--label is missing; .*Likely: --label gift or"),
        (
            ["data.csv", "--event-time", "time", "--label", "late"],
            "--event-time 'time' is not in the data: .*Likely: .*ts",
        ),
        (
            ["data.csv", "--event-time", "ts", "--label", "lates"],
            "--label 'lates' is not in the data: .*Likely: --label late",
        ),
        (["data.csv", "--event-time", "ts", "--label", "late", "--entity", "idd"], "--entity 'idd' is not in the data"),
        (["gone.csv", "--event-time", "ts", "--label", "late"], "gone.csv does not exist"),
        (["data.csv", "--query", "SELECT 1"], "--query goes with a database"),
        (["sqlite:///data.db"], "A database needs a query"),
        (["data.db"], "is a database file. Write sqlite:///data.db and add --query"),
        (["."], "Folder . holds both CSV and Parquet files"),
        (["empty"], "Folder empty holds no CSV or Parquet file"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_likeliest(words: list[str], sentence: str) -> None:
    table().write_csv("data.csv")
    table().write_parquet("data.parquet")
    Path("empty").mkdir()
    with pytest.raises(UsageError, match=sentence) as caught:
        init(*words)
    assert "\n" not in str(caught.value)
    assert not Path("data").exists()


def test_the_only_column_of_times_is_suggested() -> None:
    table().select("ts", "weight", "late").write_csv("data.csv")
    with pytest.raises(UsageError, match=r"Likely: --event-time ts\.$"):
        init("data.csv", "--label", "late")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"late": pl.lit(1)}, "Label 'late' has 1 distinct values"),
        ({"late": pl.col("note")}, "is text with 2,000 values, too many to be classes"),
        ({"ts": pl.lit("soon")}, r"Event time 'ts' is no ISO 8601 time in 2,000 rows: row 1 \('soon'\)"),
        ({"ts": pl.when(pl.col("items") > 2).then("ts")}, r"Event time 'ts' is missing in \d+ rows: row"),
    ],
)
def test_a_table_from_which_nothing_can_be_learnt_is_refused(change: dict[str, pl.Expr], sentence: str) -> None:
    table().with_columns(**change).write_parquet("data.parquet")
    with pytest.raises(DataError, match=sentence):
        init("data.parquet", "--label", "late", "--event-time", "ts")
    assert not Path("data").exists()


def test_a_table_without_an_honest_column_is_refused_with_the_reasons() -> None:
    table().select("ts", "minutes_late", "country", "late").write_parquet("data.parquet")
    with pytest.raises(
        DataError, match=r"No column is left to predict 'late' from \(minutes_late: likely leak.*country"
    ):
        init("data.parquet", "--label", "late", "--event-time", "ts")


def test_nothing_is_overwritten(here: Path) -> None:
    table().write_csv("data.csv")
    words = ["data.csv", "--label", "late", "--event-time", "ts"]
    init(*words)
    (here / "data/usecase.yaml").write_text("mine")
    for target in ([], ["--into", "data"], ["--into", "data.csv"]):
        with pytest.raises(FlywheelError, match="exists already, and nothing is overwritten") as caught:
            init(*words, *target)
        assert caught.value.exit_code == 1
    assert (here / "data/usecase.yaml").read_text() == "mine"
    assert {path.name for path in here.iterdir()} == {"data", "data.csv"}


def test_a_password_is_written_nowhere(here: Path) -> None:
    source = find_source("postgresql://me:s%40cret@host/shop", "SELECT 1")
    assert hidden_password(source) == "s@cret"
    assert placed(source, here / "case").database == "postgresql://me:${SOURCE_PASSWORD}@host/shop"
    named = find_source("postgresql://me:${PW}@host/shop", "SELECT 1")
    assert hidden_password(named) is None
    assert placed(named, here / "case").database == "postgresql://me:${PW}@host/shop"
