"""`flywheel outcomes`: files of three kinds, each recorded once."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from deploy.agent.limits import Limits
from deploy.agent.spool import Spool
from deploy.cli import app
from deploy.log.shipper import drain
from flywheel.errors import UsageError
from flywheel.storage import PredictionLog
from tests.deploy.test_shipper import CONTRACT_JSON, record

FACTS = pl.DataFrame(
    {"entity": ["17"], "outcome": [1.0], "event_time": ["2013-01-01T05:00:00"], "time_known": ["2013-01-02T05:00:00"]}
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path))
    with Spool(tmp_path / "spool" / "tiny-v1", CONTRACT_JSON, Limits()) as spool:
        spool.append(record(1))
    drain(tmp_path)
    return tmp_path


def report(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["outcomes", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_file_of_any_kind_is_recorded_once(home: Path) -> None:
    FACTS.write_csv(home / "facts.csv")
    FACTS.write_ndjson(home / "facts.jsonl")
    FACTS.write_parquet(home / "facts.parquet")
    assert "1 outcomes of tiny recorded" in report("tiny", str(home / "facts.csv"))
    assert "recorded before" in report("tiny", str(home / "facts.jsonl"))
    assert "recorded before" in report("tiny", str(home / "facts.parquet"))
    assert PredictionLog(home / "log").outcomes("tiny")["entity"].to_list() == ["17"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["other", "facts.csv"], "has no predictions here. Known: tiny"),
        (["tiny", "absent.csv"], "cannot be read"),
        (["tiny", "facts.xls"], "unknown kind"),
        (["tiny", "broken.jsonl"], "is no jsonl"),
    ],
)
def test_wrong_use_is_answered_with_one_sentence(home: Path, arguments: list[str], sentence: str) -> None:
    (home / "broken.jsonl").write_text("{")
    with pytest.raises(UsageError, match=sentence):
        report(arguments[0], str(home / arguments[1]))
