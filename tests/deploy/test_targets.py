"""What Prometheus is told to scrape."""

import json
from pathlib import Path

from deploy.targets import AgentTarget, targets_path, write_targets
from flywheel.settings import Settings


def test_each_replica_is_a_target_and_an_unchanged_file_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    agents = [AgentTarget("flights", "2", 2, 5002), AgentTarget("flights", "2", 1, 5001)]
    assert write_targets(settings, agents, {"exporter": 5100})
    written = json.loads(targets_path(settings).read_text())
    assert [one["targets"] for one in written] == [["127.0.0.1:5001"], ["127.0.0.1:5002"], ["127.0.0.1:5100"]]
    assert [one["labels"]["job"] for one in written] == ["agent", "agent", "exporter"]
    assert written[1]["labels"] | {"replica": "2", "served_version": "2"} == written[1]["labels"]
    assert not write_targets(settings, reversed(agents), {"exporter": 5100})
    assert write_targets(settings, [], {})
    assert json.loads(targets_path(settings).read_text()) == []


def test_the_gateway_is_scraped_where_envoy_tells(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    write_targets(settings, [], {"exporter": 5100, "gateway": 5200})
    exporter, gateway = json.loads(targets_path(settings).read_text())
    assert gateway == {
        "targets": ["127.0.0.1:5200"],
        "labels": {"job": "gateway", "__metrics_path__": "/stats/prometheus"},
    }
    assert exporter["labels"] == {"job": "exporter"}
