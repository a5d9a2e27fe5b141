"""Outcomes from agents to the log: each once, whoever took it, however often, whatever died in between."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent.limits import Limits
from deploy.agent.outcomes import OutcomeSpool
from deploy.agent.spool import Spool
from deploy.log.outcome_spools import parse_outcomes
from deploy.log.shipper import Shipper
from flywheel.storage import PredictionLog, append_outcomes
from tests.deploy.tiny_contract import CONTRACT

AT = datetime(2013, 1, 2)


def outcome(number: int, **changes: Any) -> dict[str, Any]:
    known = {"prediction_id": f"p{number}", "entity": None, "outcome": 1.0, "label": None, "event_time": AT}
    return known | {"time_known": AT, "source": "feedback", "outcome_id": f"o{number}"} | changes


def outcome_line(number: int) -> bytes:
    return orjson.dumps(outcome(number), option=orjson.OPT_APPEND_NEWLINE)


def report(home: Path, rows: list[dict[str, Any]], version: str = "1") -> None:
    """Take outcomes as an agent does that ends at once."""
    folder = home / "outcomes" / f"tiny-v{version}"
    with Spool(folder, CONTRACT.model_dump_json().encode(), Limits()) as spool:
        OutcomeSpool("tiny", spool.append).append(rows)


def shipped(home: Path) -> list[str]:
    (home / "logs").mkdir(exist_ok=True)
    Shipper(home).drain()
    found = PredictionLog(home / "log").outcomes("tiny")
    return sorted(found["prediction_id"].to_list())


def test_what_is_sent_twice_counts_once_also_by_another_agent_and_later(tmp_path: Path) -> None:
    report(tmp_path, [outcome(1), outcome(2), outcome(1)])
    report(tmp_path, [outcome(2), outcome(3)], version="2")
    assert shipped(tmp_path) == ["p1", "p2", "p3"]
    report(tmp_path, [outcome(3), outcome(1)])
    assert shipped(tmp_path) == ["p1", "p2", "p3"]
    assert list((tmp_path / "outcomes").glob("*/*.jsonl")) == []
    report(tmp_path, [outcome(1, outcome_id="correction", outcome=0.0)])
    assert shipped(tmp_path) == ["p1", "p1", "p2", "p3"]


def test_a_correction_taken_back_counts_whichever_agents_took_it_and_a_repeat_does_not(tmp_path: Path) -> None:
    said = [("yes", 1.0), ("yes", 1.0), ("no", 0.0), ("yes", 1.0), ("yes", 1.0)]
    for minute, (name, value) in enumerate(said):
        known = AT + timedelta(minutes=minute)
        report(tmp_path, [outcome(1, outcome_id=name, outcome=value, time_known=known)], version=str(minute % 2))
    assert shipped(tmp_path) == ["p1"] * 3
    found = PredictionLog(tmp_path / "log").outcomes("tiny", "p1").sort("time_known")
    assert found["outcome"].to_list() == [1.0, 0.0, 1.0]
    assert found["time_known"].to_list() == [AT + timedelta(minutes=minute) for minute in (0, 2, 3)]


def test_a_segment_without_one_outcome_is_set_aside_and_gone(tmp_path: Path) -> None:
    report(tmp_path, [outcome(1)])
    assert shipped(tmp_path) == ["p1"]
    with Spool(tmp_path / "outcomes" / "tiny-v1", CONTRACT.model_dump_json().encode(), Limits()) as spool:
        spool.append(b"garbage\n")
    assert shipped(tmp_path) == ["p1"]
    assert [path.suffix for path in (tmp_path / "outcomes" / "tiny-v1").glob("[!c]*")] == [".rejected"]


def test_what_was_committed_before_a_kill_is_not_committed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(tmp_path, [outcome(1), outcome(2)])
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Shipper(tmp_path).tick()
    monkeypatch.undo()
    assert shipped(tmp_path) == ["p1", "p2"]


def test_files_of_outcomes_and_reports_share_a_table(tmp_path: Path) -> None:
    report(tmp_path, [outcome(1)])
    shipped(tmp_path)
    frame = PredictionLog(tmp_path / "log").outcomes("tiny").with_columns(source=None).cast({"source": str})
    assert append_outcomes(tmp_path / "log", "tiny", frame)
    assert not append_outcomes(tmp_path / "log", "tiny", frame)
    report(tmp_path, [outcome(1), outcome(2)])
    assert shipped(tmp_path) == ["p1", "p1", "p2"]


@settings(max_examples=200, deadline=None)
@given(noise=st.lists(st.binary(max_size=60) | st.from_type(dict).map(str).map(str.encode), max_size=4))
def test_lines_that_are_no_outcomes_are_set_aside_and_the_others_kept(noise: list[bytes]) -> None:
    sound = orjson.dumps(outcome(7)) + b"\n"
    lines = [line.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n" for line in noise]
    table, rejected = parse_outcomes(b"".join([*lines, sound]))
    assert table["outcome_id"].to_pylist() == ["o7"]
    assert b"".join(rejected) == b"".join(lines)


@pytest.mark.parametrize(
    "changes", [{"outcome_id": None}, {"outcome_id": 3}, {"event_time": "soon"}, {"outcome": "late"}, {"entity": 5}]
)
def test_an_outcome_with_a_wrong_field_is_set_aside(changes: dict[str, Any]) -> None:
    line = orjson.dumps(outcome(1, **changes)) + b"\n"
    assert parse_outcomes(line)[1] == [line]
