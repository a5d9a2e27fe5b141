"""Files: one, a folder, a glob, partitions; empty, damaged, of different columns, or gone while they are read."""

import gzip
import os
import threading
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from flywheel.errors import DataError, TransientError
from flywheel.usecase import Source
from training.sources.files import undisturbed
from training.sources.origin import Table
from training.sources.table import read_table

NOW = datetime(2024, 2, 1)

PACKED = gzip.compress(b"a,b\n1,x\n" * 1000)


def read(folder: Path, path: str, kind: str, *leave: str) -> Table:
    source = Source.model_validate({"kind": kind, "path": path})
    return read_table(source, folder, NOW, leave)


def parts(folder: Path, kind: str, *frames: pl.DataFrame) -> Path:
    place = folder / "parts"
    for number, frame in enumerate(frames):
        file = place / f"{'deep/' if number else ''}{number}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        frame.write_csv(file) if kind == "csv" else frame.write_parquet(file)
    return place


ONE = pl.DataFrame({"a": [1, 2], "s": ["x", "y"]})
TWO = pl.DataFrame({"a": [1.5], "s": ["z"]})


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("path", ["parts", "parts/**/*.{}"])
def test_a_folder_and_a_glob_are_read_as_one_table_in_the_order_of_names(tmp_path: Path, kind: str, path: str) -> None:
    place = parts(tmp_path, kind, ONE, TWO)
    (place / "_delta").mkdir()
    (place / f"_delta/9.{kind}").write_text("a log, no data")
    if "*" in path:
        (place / f"_delta/9.{kind}").unlink()
    found = read(tmp_path, path.format(kind), kind)
    assert found.frame.rows() == [(1.0, "x"), (2.0, "y"), (1.5, "z")]
    assert found.origin.digest == read(tmp_path, path.format(kind), kind).origin.digest
    ONE.head(1).write_csv(place / "0.csv") if kind == "csv" else ONE.head(1).write_parquet(place / "0.parquet")
    assert found.origin.digest != read(tmp_path, path.format(kind), kind).origin.digest


def test_partitions_become_a_column(tmp_path: Path) -> None:
    for year in (2023, 2024):
        (tmp_path / f"rows/year={year}").mkdir(parents=True)
        ONE.with_columns(pl.lit(year).alias("b")).write_parquet(tmp_path / f"rows/year={year}/part.parquet")
    assert read(tmp_path, "rows", "parquet").frame["year"].to_list() == [2023, 2023, 2024, 2024]


def test_columns_in_another_order_are_the_same_columns(tmp_path: Path) -> None:
    place = parts(tmp_path, "parquet", ONE, ONE.select("s", "a"))
    assert read(tmp_path, place.name, "parquet").frame.rows() == [*ONE.rows(), *ONE.rows()]


def test_a_csv_column_without_values_takes_the_type_that_other_files_give_it(tmp_path: Path) -> None:
    parts(tmp_path, "csv", pl.DataFrame({"a": [None, None], "s": ["x", "y"]}), TWO)
    assert read(tmp_path, "parts", "csv").frame["a"].to_list() == [None, None, 1.5]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (pl.DataFrame({"a": [1]}), r"Column 's' is in .*0\.{} but not in .*1\.{}"),
        (pl.DataFrame({"a": [1], "s": ["x"], "t": [1]}), r"Column 't' is in .*1\.{} but not in .*0\.{}"),
        (pl.DataFrame({"a": ["x"], "s": ["x"]}), r"Column 'a' is Int64 in .*0\.{} but String in .*1\.{}"),
    ],
)
def test_files_of_one_folder_that_differ_are_both_named(
    tmp_path: Path, kind: str, other: pl.DataFrame, sentence: str
) -> None:
    parts(tmp_path, kind, ONE, other)
    with pytest.raises(DataError, match=sentence.replace("{}", kind)):
        read(tmp_path, "parts", kind)


@pytest.mark.parametrize(
    ("name", "content", "kind", "sentence"),
    [
        ("gone.csv", None, "csv", r"gone\.csv does not exist"),
        ("gone/*.csv", None, "csv", "No file matches"),
        ("rows.csv", b"", "csv", "is empty"),
        ("rows.csv", b"\n\n", "csv", "is empty"),
        ("rows.csv", b"a,b\n", "csv", "has no rows"),
        ("rows.csv", b"a,b\n1,2\n1,2,3\n", "csv", "cannot be read as csv"),
        ("rows.csv", b"a,b\n\xff\xfe,2\n", "csv", "cannot be read as csv"),
        ("rows.parquet", b"at,x\n", "parquet", "cannot be read as parquet"),
        ("rows.parquet", b"", "parquet", "cannot be read as parquet"),
        ("rows", b"at,x\n", "delta", "is no Delta table"),
        ("https://host/rows.csv", None, "csv", "Write s3://bucket/path or a local path"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, kind: str, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        read(tmp_path, name, kind)
    assert "\n" not in str(caught.value)


def test_a_folder_without_files_of_the_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"holds no file that ends with \.parquet or \.pq"):
        read(tmp_path, "rows", "parquet")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_header_tells_what_separates_columns(tmp_path: Path, mark: str) -> None:
    (tmp_path / "rows.csv").write_text(f"a{mark}b\n1{mark}NA\n2{mark}x\n")
    assert read(tmp_path, "rows.csv", "csv").frame.rows() == [(1, None), (2, "x")]


def test_a_commas_header_with_another_mark_in_a_name_stays_with_commas(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a;b;c,d\n1,2\n")
    assert read(tmp_path, "rows.csv", "csv").frame.columns == ["a;b;c", "d"]


def test_gzipped_csv_is_csv(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a,b\n1,x\n"))
    assert read(tmp_path, "rows.csv.gz", "csv").frame.rows() == [(1, "x")]


def test_the_separator_is_looked_for_in_what_was_gzipped(tmp_path: Path) -> None:
    time_of_semicolons = int.from_bytes(b";;;;", "little")  # gzip writes it into its first line
    packed = gzip.compress(b"a,b\n1,x\n", mtime=time_of_semicolons)
    assert b";;;;" in packed.splitlines()[0]
    (tmp_path / "rows.csv.gz").write_bytes(packed)
    assert read(tmp_path, "rows.csv.gz", "csv").frame.rows() == [(1, "x")]


@pytest.mark.parametrize("content", [PACKED[:30], PACKED[:12] + b"\xff" * 20, PACKED[:5]])
def test_a_damaged_gzip_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.csv\.gz is a damaged gzip file"):
        read(tmp_path, "rows.csv.gz", "csv")


def test_an_empty_gzip_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match=r"rows\.csv\.gz is empty"):
        read(tmp_path, "rows.csv.gz", "csv")


def test_text_that_comes_late_makes_a_csv_column_text(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n" + "1\n" * 20_000 + "x\n")
    assert read(tmp_path, "rows.csv", "csv").frame["a"].dtype == pl.String


def test_columns_that_nobody_needs_are_not_read_from_parquet_and_delta(tmp_path: Path) -> None:
    ONE.write_parquet(tmp_path / "rows.parquet")
    ONE.write_delta(tmp_path / "rows.delta")
    for kind in ("parquet", "delta"):
        found = read(tmp_path, f"rows.{kind}", kind, "s", "nothing")
        assert (found.frame.columns, found.columns) == (["a"], ["a", "s"])


def test_a_delta_table_is_read_at_its_newest_version_which_lineage_names(tmp_path: Path) -> None:
    ONE.write_delta(tmp_path / "table")
    ONE.write_delta(tmp_path / "table", mode="append")
    DeltaTable(tmp_path / "table").delete("a = 1")
    found = read(tmp_path, "table", "delta")
    assert found.frame.rows() == [(2, "y"), (2, "y")]
    assert found.origin.describe() == "delta table at version 2"
    assert found.origin.as_json() == {"kind": "delta", "place": "table", "version": 2}


def test_a_delta_table_whose_files_are_vacuumed_away_is_a_passing_fault(tmp_path: Path) -> None:
    ONE.write_delta(tmp_path / "table")
    for file in (tmp_path / "table").glob("*.parquet"):
        file.unlink()
    with pytest.raises(TransientError, match="a file of version 0 vanished while it was read"):
        read(tmp_path, "table", "delta")


def test_files_that_vanish_or_change_while_they_are_read_are_a_passing_fault(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n2\n")
    with undisturbed([file]):
        file.read_text()
    with pytest.raises(TransientError, match=r"rows\.csv changed while it was read"), undisturbed([file]):
        file.write_text("a\n")
    with pytest.raises(TransientError, match=r"rows\.csv vanished while it was read") as caught, undisturbed([file]):
        file.rename(tmp_path / "elsewhere").with_name("rows.csv").read_text()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_fault_of_a_file_that_nobody_touched_stays_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a\n")
    with pytest.raises(OSError, match="disk"), undisturbed([file]):
        raise OSError("disk")


def test_a_file_cut_short_while_it_is_read_does_not_end_the_process(tmp_path: Path) -> None:
    """Of a memory map, the system ends a process that reads beyond the file's new end."""
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n" + "1,2\n" * 3_000_000)
    cutter = threading.Thread(target=os.truncate, args=(file, 1000))
    faults = []
    try:
        cutter.start()
        read(tmp_path, "rows.csv", "csv")
    except (TransientError, DataError) as fault:
        faults.append(str(fault))
    cutter.join()
    assert all("changed while" in fault or "cannot be read" in fault for fault in faults)
    assert file.stat().st_size == 1000
