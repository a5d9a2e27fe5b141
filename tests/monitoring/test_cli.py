"""Bad input gets one sentence before any work, and `--help` stays light."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flywheel.errors import FlywheelError, UsageError
from monitoring.cli import app
from monitoring.look.telling import Telling
from monitoring.times import parse_time

USE_CASE = Path(__file__).parents[2] / "examples" / "flights" / "usecase.yaml"


def run(*arguments: str, use_case: Path = USE_CASE) -> None:
    app(["monitor", str(use_case), *arguments], standalone_mode=False)


def span(start: str = "2013-04-01", end: str = "2013-05-01", as_of: str = "2013-05-02") -> list[str]:
    return ["--start", start, "--end", end, "--as-of", as_of]


def test_a_time_with_an_offset_is_converted_to_utc() -> None:
    assert parse_time("--start", "2013-04-01T02:00:00+02:00") == datetime(2013, 4, 1)
    assert parse_time("--start", "2013-04-01T00:00:00Z") == parse_time("--start", "2013-04-01")


@pytest.mark.parametrize("text", ["yesterday", "2013-13-01", "0001-01-01T00:00:00+23:59"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="Write one like 2013-04-01"):
        run(*span(start=text))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (span(end="2013-03-01"), "not after its start"),
        (span(as_of="2013-04-15"), "before the window's end"),
        ([*span(), "--json", "/nowhere/at/all.json"], "there is no folder /nowhere/at"),
        ([*span(), "--since", "2013-04-01"], "Give --start and --end for one window"),
        (
            ["--since", "2014-01-01", "--as-of", "2013-01-01"],
            "--since 2014-01-01 does not lie before --as-of 2013-01-01",
        ),
        (["--since", "2013-01-01", "--as-of", "2013-01-01"], "does not lie before --as-of"),
        (["--start", "2999-01-01", "--end", "2999-02-01"], "--end 2999-02-01 lies in the future"),
        (["--as-of", "2999-01-01"], "--as-of 2999-01-01 lies in the future"),
        (["--since", "2999-01-01"], "--since 2999-01-01 does not lie before now"),
        (["--start", "2013-04-01"], "Give --start and --end for one window"),
        (span(start=""), "Give --start and --end for one window"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_read(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(*arguments)


def test_a_use_case_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.yaml cannot be read"):
        run(*span(), use_case=tmp_path / "missing.yaml")


def test_without_a_stack_the_sentence_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path))
    with pytest.raises(FlywheelError, match="flywheel up"):
        run(*span())
    assert not (tmp_path / "logs").exists()


def test_what_is_going_on_is_shown_on_a_terminal_alone_and_results_always(capsys: pytest.CaptureFixture[str]) -> None:
    with Telling(shown=False) as telling:
        telling.begin("judging drift")
        telling.line("quiet")
    assert capsys.readouterr() == ("quiet\n", "")
    with Telling(shown=True) as telling:
        telling.line("quiet")
    assert capsys.readouterr().out == "quiet\n"


def test_to_tell_the_last_look_again_nothing_is_imported_that_reads_rows() -> None:
    code = (
        "import sys, monitoring.cli, monitoring.look.again;"
        "print(*{'mlflow', 'pandas', 'polars', 'pyarrow', 'scipy', 'matplotlib', 'evidently'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, monitoring.cli; print(*{'mlflow', 'pandas', 'polars', 'evidently', 'sqlalchemy'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_the_schedule_says_why_it_takes_no_user() -> None:
    said = CliRunner().invoke(app, ["schedule", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert "No login is asked for, so that there is no --user" in " ".join(said.stdout.split())
    refused = CliRunner().invoke(app, ["schedule", "list", "--user", "grace"])
    assert refused.exit_code == 2
