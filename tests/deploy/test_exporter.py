"""The exporter: it tells what is down and how far behind the log is, and goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from deploy.exporter import Exporter
from deploy.log.segments import set_aside
from flywheel.settings import Settings

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def exporter(home: Path) -> Exporter:
    return Exporter(Settings(home=home), {}, clock=lambda: NOW)


def spool(home: Path, *ages: float) -> Path:
    """Write a segment with records of these ages in seconds."""
    folder = home / "spool" / "flights-v3"
    folder.mkdir(parents=True, exist_ok=True)
    records = [{"recorded_time": (NOW - timedelta(seconds=age)).replace(tzinfo=None)} for age in ages]
    path = folder / f"{len(list(folder.iterdir()))}.jsonl"
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


def test_a_part_that_is_down_or_whose_probe_fails_is_0_and_the_others_are_told(tmp_path: Path) -> None:
    def broken() -> str | None:
        raise ValueError("no such thing")

    told = Exporter(Settings(home=tmp_path), {"s3": broken, "mlflow": lambda: "no answer", "postgres": lambda: None})
    told.look()
    up = {
        name: told.registry.get_sample_value("flywheel_dependency_up", {"name": name})
        for name in ("s3", "mlflow", "postgres")
    }
    assert up == {"s3": 0.0, "mlflow": 0.0, "postgres": 1.0}


def test_the_lag_is_the_age_of_the_oldest_record_that_is_not_shipped(tmp_path: Path) -> None:
    segments = [spool(tmp_path, 90, 10), spool(tmp_path, 30)]
    told = exporter(tmp_path)
    told.look()
    labels = {"use_case": "flights"}
    size = sum(path.stat().st_size for path in segments)
    assert told.registry.get_sample_value("flywheel_log_lag_seconds", labels) == 90
    assert told.registry.get_sample_value("flywheel_log_backlog_bytes", labels) == size
    for path in segments:
        path.unlink()
    told.look()
    assert told.registry.get_sample_value("flywheel_log_lag_seconds", labels) == 0
    assert told.registry.get_sample_value("flywheel_log_backlog_bytes", labels) == 0
    assert told.registry.get_sample_value("flywheel_exporter_faults_total", labels) is None


def test_a_record_that_cannot_be_read_is_counted_and_is_no_lag_of_0(tmp_path: Path) -> None:
    spool(tmp_path).write_bytes(b"torn\n")
    told = exporter(tmp_path)
    told.look()
    labels = {"use_case": "flights"}
    assert told.registry.get_sample_value("flywheel_exporter_faults_total", labels) == 1


def test_lines_that_were_set_aside_are_told(tmp_path: Path) -> None:
    segment = spool(tmp_path, 1)
    set_aside(segment, 0, [b"no record\n", b"another\n"])
    told = exporter(tmp_path)
    told.look()
    assert told.registry.get_sample_value("flywheel_log_quarantined_lines", {"use_case": "flights"}) == 2


def test_it_tells_when_it_has_looked_last(tmp_path: Path) -> None:
    told = exporter(tmp_path)
    told.look()
    assert told.registry.get_sample_value("flywheel_exporter_last_look_timestamp_seconds") == NOW.timestamp()
