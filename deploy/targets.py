"""What Prometheus scrapes, as its file service discovery reads it: HOME/run/prometheus-targets.json.

Written by whoever changes what runs. Prometheus watches the file, so it is replaced as a whole; an unchanged one is
left alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flywheel.connections import write_private
from flywheel.settings import Settings

NAME = "prometheus-targets.json"
# Where a job does not tell at /metrics.
PATHS = {"gateway": "/stats/prometheus"}


@dataclass(frozen=True, order=True)
class AgentTarget:
    """One agent: whose it is, its number within the version, and its port on loopback."""

    use_case: str
    version: str
    replica: int
    port: int


def targets_path(settings: Settings) -> Path:
    """Return the file that prometheus.yml names."""
    return settings.root / "run" / NAME


def write_targets(settings: Settings, agents: Iterable[AgentTarget], others: Mapping[str, int]) -> bool:
    """Write the file if it would change; say whether it did.

    Args:
        settings: Whose home.
        agents: That run now.
        others: Ports of what is scraped besides, by job: `exporter`, `gateway`. What has no port of its own (shipper,
            doorman, controller) is told by the exporter.
    """
    path = targets_path(settings)
    content = json.dumps(target_document(agents, others), indent=1)
    try:
        if path.read_text() == content:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, content)
    return True


def target_document(agents: Iterable[AgentTarget], others: Mapping[str, int]) -> list[dict[str, object]]:
    """Return targets with their labels, in a fixed order."""
    groups: list[dict[str, object]] = []
    for agent in sorted(agents):
        # Agents label their own series with use case and version; only the replica is not theirs to know.
        labels = {"job": "agent", "replica": str(agent.replica)}
        labels |= {"served_use_case": agent.use_case, "served_version": agent.version}
        groups.append({"targets": [f"127.0.0.1:{agent.port}"], "labels": labels})
    for job, port in sorted(others.items()):
        path = {"__metrics_path__": PATHS[job]} if job in PATHS else {}
        groups.append({"targets": [f"127.0.0.1:{port}"], "labels": {"job": job, **path}})
    return groups
