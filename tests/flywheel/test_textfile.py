"""Metrics of processes without a port: passed on by the exporter, and never a reason for a process to fail."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from flywheel.textfile import Textfile, TextfileCollector
from tests.deploy.conftest import wait_for


def told(home: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(TextfileCollector(home))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_what_a_process_writes_is_passed_on_with_its_types_and_the_time(tmp_path: Path) -> None:
    file = Textfile(tmp_path, "one")
    file.counter("flywheel_one", "Things.", ("kind",)).labels('a "b"\n').inc(3)
    Histogram("flywheel_took_seconds", "Time.", buckets=(1,), registry=file.registry).observe(0.5)
    Textfile(tmp_path, "two").write()
    file.write()
    found = told(tmp_path)
    assert found['flywheel_one_total{kind="a \\"b\\"\\n"}'] == 3
    assert found['flywheel_took_seconds_bucket{le="1.0"}'] == found["flywheel_took_seconds_count"] == 1
    written = found['flywheel_textfile_mtime_seconds{program="one"}']
    assert written == (tmp_path / "run" / "metrics" / "one.prom").stat().st_mtime
    assert 'flywheel_textfile_mtime_seconds{program="two"}' in found
    assert not [name for name in found if "_created" in name]


def test_counters_go_on_where_the_last_process_left_them(tmp_path: Path) -> None:
    for _ in range(3):
        file = Textfile(tmp_path, "one")
        file.counter("flywheel_plain", "Things.").inc()
        file.counter("flywheel_kinds", "Things.", ("kind",)).labels("a").inc(2)
        file.write()
    assert told(tmp_path)["flywheel_plain_total"] == 3
    assert told(tmp_path)['flywheel_kinds_total{kind="a"}'] == 6


def test_a_name_that_several_processes_tell_is_one_family(tmp_path: Path) -> None:
    for process in ("one", "two"):
        file = Textfile(tmp_path, process)
        Gauge("flywheel_loss", "Loss.", ("use_case",), registry=file.registry).labels(process).set(1)
        file.write()
    registry = CollectorRegistry()
    registry.register(TextfileCollector(tmp_path))
    lines = generate_latest(registry).decode().splitlines()
    assert lines.count("# TYPE flywheel_loss gauge") == 1
    assert 'flywheel_loss{use_case="one"} 1.0' in lines
    assert 'flywheel_loss{use_case="two"} 1.0' in lines


@pytest.mark.parametrize("damage", [b"flywheel_one_total{", b"\xff\xfe", b"flywheel_one_total three\n"])
def test_a_damaged_file_is_left_out_and_the_others_are_told(tmp_path: Path, damage: bytes) -> None:
    one, two = Textfile(tmp_path, "one"), Textfile(tmp_path, "two")
    two.counter("flywheel_two", "Things.").inc()
    for file in (one, two):
        file.write()
    (tmp_path / "run" / "metrics" / "one.prom").write_bytes(damage)
    assert told(tmp_path)["flywheel_two_total"] == 1
    again = Textfile(tmp_path, "one").counter("flywheel_one", "Things.")
    assert [
        sample.value for family in again.collect() for sample in family.samples if sample.name.endswith("total")
    ] == [0]


def test_what_cannot_be_written_is_no_fault_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where a folder should be")
    file = Textfile(tmp_path, "one")
    with file.kept(0.01):
        file.write()
    assert told(tmp_path) == {}


def test_while_it_is_kept_the_file_follows_and_the_last_word_is_written(tmp_path: Path) -> None:
    file = Textfile(tmp_path, "one")
    counter = file.counter("flywheel_one", "Things.")
    with file.kept(0.01):
        counter.inc()
        wait_for(lambda: told(tmp_path).get("flywheel_one_total") == 1, "the count's arrival", 10)
    with file.kept(3600):
        wait_for((tmp_path / "run" / "metrics" / "one.prom").exists, "the file", 10)
        counter.inc()
    assert told(tmp_path)["flywheel_one_total"] == 2
