"""The exporter: it tells what is down and how far behind the log is, and goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from deploy.exporter import Exporter

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def exporter(home: Path) -> Exporter:
    return Exporter(home, {}, clock=lambda: NOW)


def test_a_part_that_is_down_or_whose_probe_fails_is_0_and_the_others_are_told() -> None:
    def broken() -> str | None:
        raise ValueError("no such thing")

    told = Exporter(Path("/nonexistent"), {"s3": broken, "mlflow": lambda: "no answer", "postgres": lambda: None})
    told.look()
    up = {
        name: told.registry.get_sample_value("flywheel_dependency_up", {"name": name})
        for name in ("s3", "mlflow", "postgres")
    }
    assert up == {"s3": 0.0, "mlflow": 0.0, "postgres": 1.0}


def test_the_lag_is_the_age_of_the_oldest_record_that_is_not_shipped(tmp_path: Path) -> None:
    folder = tmp_path / "spool" / "flights-v3"
    folder.mkdir(parents=True)
    for name, age in (("one", 90), ("two", 30)):
        record = {"recorded_time": (NOW - timedelta(seconds=age)).replace(tzinfo=None)}
        (folder / f"{name}.jsonl").write_bytes(orjson.dumps(record) + b"\n")
    told = exporter(tmp_path)
    told.look()
    labels = {"use_case": "flights"}
    assert told.registry.get_sample_value("flywheel_log_lag_seconds", labels) == 90
    for path in folder.glob("*.jsonl"):
        path.unlink()
    told.look()
    assert told.registry.get_sample_value("flywheel_log_lag_seconds", labels) == 0
    assert told.registry.get_sample_value("flywheel_exporter_faults_total", labels) is None


def test_a_record_that_cannot_be_read_is_counted_and_is_no_lag_of_0(tmp_path: Path) -> None:
    folder = tmp_path / "spool" / "flights-v3"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").write_bytes(b"torn\n")
    told = exporter(tmp_path)
    told.look()
    labels = {"use_case": "flights"}
    assert told.registry.get_sample_value("flywheel_exporter_faults_total", labels) == 1
