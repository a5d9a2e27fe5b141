"""What an agent counts, as Prometheus reads it."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from deploy.agent.telemetry.metrics import SECONDS, Metrics
from deploy.agent.telemetry.watch import SpoolCollector


def samples(metrics: Metrics, name: str) -> Iterator[tuple[dict[str, str], float]]:
    for family in text_string_to_metric_families(metrics.page().decode()):
        for sample in family.samples:
            if sample.name == name:
                yield sample.labels, sample.value


def value(metrics: Metrics, name: str, **labels: str) -> float:
    found = [count for held, count in samples(metrics, name) if labels.items() <= held.items()]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_requests_are_counted_by_protocol_arm_and_status_with_their_durations() -> None:
    metrics = Metrics("flights", "3")
    for seconds in (0.001, 0.004, 99.0):
        metrics.answered("v2", "challenger", 200, seconds)
    metrics.answered("v2", None, 429, 0.002)
    known = {"use_case": "flights", "version": "3", "protocol": "v2"}
    assert value(metrics, "flywheel_requests_total", **known, arm="challenger", status="200") == 3
    assert value(metrics, "flywheel_requests_total", **known, arm="none", status="429") == 1
    durations = {**known, "arm": "challenger"}
    buckets = {at["le"]: n for at, n in samples(metrics, "flywheel_request_seconds_bucket") if at["arm"] != "none"}
    assert buckets["0.001"] == 1  # bounds include their own value
    assert (buckets["0.005"], buckets["10.0"], buckets["+Inf"]) == (2, 2, 3)
    assert len(buckets) == len(SECONDS) + 1
    assert value(metrics, "flywheel_request_seconds_count", **durations) == 3
    assert abs(value(metrics, "flywheel_request_seconds_sum", **durations) - 99.005) < 1e-9


def test_nobody_outside_can_make_series() -> None:
    metrics = Metrics("flights", "3")
    for number in range(5000):
        metrics.answered(f"p{number}", f"a{number}", 1000 + number, 0.001)
        metrics.refused("mlflow", f"rule {number}")
    assert [count for _, count in samples(metrics, "flywheel_requests_total")] == [5000]
    refusals = list(samples(metrics, "flywheel_refusals_total"))
    assert len(refusals) < 200
    assert sum(count for _, count in refusals) == 5000


def test_the_process_and_the_spool_are_on_the_page(tmp_path: Path) -> None:
    metrics = Metrics("flights", "3")
    metrics.add(SpoolCollector(tmp_path, "flights", "3"))
    (tmp_path / "one.jsonl").write_bytes(b"x" * 77)
    (tmp_path / "contract.json").write_bytes(b"x" * 77)
    assert value(metrics, "flywheel_spool_bytes") == 77
    assert value(metrics, "flywheel_spool_writable") == 1
    assert value(metrics, "flywheel_disk_free_bytes") > 0
    assert value(metrics, "process_resident_memory_bytes") > 1 << 20
    assert value(metrics, "process_open_fds") > 0


def test_a_spool_that_is_gone_is_told_and_fails_no_scrape(tmp_path: Path) -> None:
    metrics = Metrics("flights", "3")
    metrics.add(SpoolCollector(tmp_path / "gone", "flights", "3"))
    assert value(metrics, "flywheel_spool_writable") == 0
    assert not list(samples(metrics, "flywheel_disk_free_bytes"))


def test_connections_and_workers_are_asked_at_the_scrape() -> None:
    metrics, open_now = Metrics("flights", "3"), [4]
    metrics.watch_connections(lambda: open_now[0])
    metrics.watch_workers(lambda: 1, 2)
    assert value(metrics, "flywheel_open_connections") == 4
    open_now[0] = 7
    assert value(metrics, "flywheel_open_connections") == 7
    assert (value(metrics, "flywheel_workers_live"), value(metrics, "flywheel_workers")) == (1, 2)


def test_what_is_turned_away_unread_is_a_refusal_and_has_no_duration() -> None:
    metrics, known = Metrics("tiny", "1"), {"use_case": "tiny", "version": "1", "protocol": "mlflow"}
    metrics.answered("mlflow", None, 200, 0.5)
    for _ in range(9):
        metrics.turned_away("mlflow", 429, "busy")
    assert value(metrics, "flywheel_requests_total", **known, arm="none", status="429") == 9
    assert value(metrics, "flywheel_refusals_total", **known, rule="busy") == 9
    assert value(metrics, "flywheel_request_seconds_count", **known, arm="none") == 1
