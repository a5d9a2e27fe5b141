"""`flywheel drift` on anybody's files: what it prints and how it ends."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from flywheel.column_rules import ColumnType
from flywheel.errors import FlywheelError, UsageError
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series_file import series_bytes
from flywheel.statistics import Floats
from monitoring.cli import app
from tests.monitoring.drift.rows import Rows


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["drift", *map(str, arguments)])


def shifted(values: Floats) -> None:
    values[:, :, 2] += 1.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a reference, a quiet window, one that drifted, and the reference as a profile."""
    folder, rows = tmp_path_factory.mktemp("files"), Rows(21)
    reference = rows.days(0, 60)
    reference.write_parquet(folder / "reference.parquet")
    (folder / "reference.blocks").write_bytes(series_bytes(profile_rows(reference, rows.types, "time")))
    rows.days(60, 14).write_csv(folder / "quiet.csv")
    rows.days(74, 14, shifted).write_parquet(folder / "drifted.parquet")
    return folder


def test_a_quiet_window_ends_with_nought(files: Path) -> None:
    result = run(files / "reference.parquet", files / "quiet.csv", "--event-time", "time")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("No drift in 14 blocks")


def test_drift_ends_with_three_and_its_record_is_json(files: Path) -> None:
    windows = (files / "quiet.csv", files / "drifted.parquet")
    result = run(files / "reference.parquet", *windows, "--event-time", "time", "--json")
    assert result.exit_code == 3
    record = json.loads(result.output)
    assert record["alarms"][0]["moved"][0]["column"] == "x2"
    assert record["files"][str(windows[0])].startswith("sha256:")
    again = run(files / "reference.parquet", *windows, "--event-time", "time", "--json")
    assert json.loads(again.output)["verdict"] == "drift"


def test_a_profile_is_a_reference_as_its_rows_are(files: Path) -> None:
    asked = (files / "reference.blocks", files / "drifted.parquet", "--event-time", "time", "--json")
    record = json.loads(run(*asked).output)
    assert record == json.loads(run(*asked).output)
    assert record["alarms"][0]["moved"][0]["column"] == "x2"


def test_without_times_windows_are_cut_as_the_reference_is(files: Path, tmp_path: Path) -> None:
    result = run(files / "reference.parquet", files / "quiet.csv", "--exclude", "time")
    assert result.exit_code == 0, result.output
    assert "No drift in 14 blocks" in result.output
    assert "Without --event-time" in result.output
    assert "about 100 to a block" in result.output
    asked = (files / "reference.parquet", files / "drifted.parquet", "--exclude", "time")
    whole = run(*asked, "--plot", files / "order.png")
    assert whole.exit_code == 3
    assert re.match(r"Drift in block \d+: 'x2' moved by \+\d", whole.output)
    record = json.loads(run(*asked, "--json").output)
    assert [block["start"] for block in record["blocks"]] == list(range(1, 15))
    assert 1 <= record["alarms"][0]["since"] <= record["alarms"][0]["block"] <= 14
    days = pl.read_parquet(files / "drifted.parquet").iter_slices(100)
    for number, day in enumerate(days):
        day.write_parquet(tmp_path / f"{number:02}.parquet")
    windows = sorted(tmp_path.iterdir())
    one_by_one = run(files / "reference.parquet", *windows, "--exclude", "time")
    assert one_by_one.output == whole.output


def test_few_rows_and_a_single_block_are_told(files: Path, tmp_path: Path) -> None:
    pl.read_csv(files / "quiet.csv")[:5].write_csv(tmp_path / "five.csv")
    result = run(files / "reference.parquet", tmp_path / "five.csv", "--event-time", "time")
    assert "A block has 5 rows here and 100 in the reference" in result.output
    assert "One block alone is seldom proof" in result.output


def test_a_short_reference_cannot_be_decided_yet(files: Path) -> None:
    result = run(files / "quiet.csv", files / "drifted.parquet", "--event-time", "time")
    assert result.exit_code == 4
    assert "14 blocks of 28" in result.output


def test_a_window_without_rows_cannot_be_decided_yet(files: Path, tmp_path: Path) -> None:
    pl.read_parquet(files / "drifted.parquet")[:0].write_parquet(tmp_path / "empty.parquet")
    result = run(files / "reference.parquet", tmp_path / "empty.parquet", "--event-time", "time")
    assert result.exit_code == 4
    assert "There are no rows to judge." in result.output


def test_a_picture_is_written(files: Path, tmp_path: Path) -> None:
    picture = tmp_path / "drift.png"
    run(files / "reference.parquet", files / "drifted.parquet", "--event-time", "time", "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda found: [found / "nothing.csv", found / "quiet.csv"], "nothing.csv cannot be read"),
        (lambda found: [found / "quiet.csv", found / "quiet.csv"], "A file is named twice"),
        (
            lambda found: [found / "quiet.csv", found / "drifted.parquet", "--event-time", "when"],
            "has no column 'when'",
        ),
        (lambda found: [found / "quiet.csv", found / "drifted.parquet", "--event-time", "x0"], "'x0' is no time"),
        (lambda found: [found / "quiet.csv", found / "drifted.parquet", "--budget", "0"], "--budget 0.0 is wrong"),
        (lambda found: [found / "quiet.csv", found / "drifted.parquet", "--block", "day"], "--block day is wrong"),
        (lambda found: [found / "reference.blocks", found / "quiet.csv"], "needs --event-time"),
        (lambda found: [found / "quiet.csv", found / "reference.blocks"], "Name its --event-time"),
        (
            lambda found: [found / "drifted.parquet", found / "quiet.csv", "--event-time", "time"],
            "Windows come later than the reference",
        ),
        (
            lambda found: [found / "reference.parquet", found / "quiet.csv", "--event-time", "time", "--exclude", "x9"],
            "The reference has no column 'x9' to exclude",
        ),
    ],
)
def test_wrong_use_is_one_sentence(files: Path, change: Callable[[Path], list[object]], sentence: str) -> None:
    fault = run(*change(files)).exception
    assert isinstance(fault, UsageError)
    assert sentence in str(fault)


def test_times_that_are_none_are_counted(files: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(files / "quiet.csv").with_columns(pl.lit("yesterday").alias("time"))
    frame.write_csv(tmp_path / "words.csv")
    fault = run(files / "reference.parquet", tmp_path / "words.csv", "--event-time", "time").exception
    assert isinstance(fault, UsageError)
    assert f"column 'time' is no time in {frame.height} rows" in str(fault)


def test_answers_of_a_packages_profile_are_not_missed_in_rows_of_inputs(files: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(files / "reference.parquet").with_columns(
        pl.lit(0.3).alias("prediction"), pl.lit(value=True).alias("label")
    )
    kinds: dict[str, ColumnType] = {**Rows(21).types, "prediction": "double", "label": "boolean"}
    (tmp_path / "package.blocks").write_bytes(series_bytes(profile_rows(rows, kinds, "time")))
    result = run(tmp_path / "package.blocks", files / "quiet.csv", "--event-time", "time")
    assert result.exit_code == 0, result.output


def test_a_damaged_profile_is_told(files: Path, tmp_path: Path) -> None:
    content = bytearray((files / "reference.blocks").read_bytes())
    content[-1] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    fault = run(tmp_path / "damaged", files / "quiet.csv", "--event-time", "time").exception
    assert isinstance(fault, FlywheelError)
    assert "damaged" in str(fault)


def test_a_file_that_is_nothing_of_the_sort_is_told(files: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    fault = run(tmp_path / "broken.parquet", files / "quiet.csv").exception
    assert isinstance(fault, UsageError)
    assert "is no CSV, Parquet or profile" in str(fault)
