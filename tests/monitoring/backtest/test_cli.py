"""Bad input is one sentence before any work."""

from pathlib import Path

import pytest

from flywheel.errors import UsageError
from monitoring.cli import app

USE_CASE = Path(__file__).parents[3] / "examples" / "flights" / "usecase.yaml"
TIMES = ["--from", "2013-04-01", "--choose-until", "2013-08-01", "--to", "2014-01-01"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            [*TIMES, "--policy", "every few days"],
            "There is no policy 'every few days'. Choose of: never; monthly; weekly;",
        ),
        ([*TIMES, "--policy", "every 0 days"], "There is no policy 'every 0 days'"),
        (["--from", "2013-04-01", "--choose-until", "2013-03-01", "--to", "2014-01-01"], "must follow each other"),
        (["--from", "spring", "--choose-until", "2013-03-01", "--to", "2014-01-01"], "--from 'spring' is no time"),
        ([*TIMES, "--json", "/nowhere/at/all.json"], "there is no folder /nowhere/at"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_read(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as fault:
        app(["backtest", str(USE_CASE), "--output", str(tmp_path / "out"), *arguments], standalone_mode=False)
    assert sentence in str(fault.value)
    assert not (tmp_path / "out").exists()
