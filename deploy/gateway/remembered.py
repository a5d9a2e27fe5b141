"""What the route file remembers: the split of each use case, in the metadata of its routes."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.gateway.traffic import Backend, Replica, Split

METADATA = "flywheel"


def metadata(split: Split) -> dict[str, Any]:
    """Return what a route of this split carries."""
    return {"filter_metadata": {METADATA: {"split": asdict(split)}}}


def read_splits(path: Path) -> dict[str, Split]:
    """Read from a route file which split each use case has; the file itself is the memory of what was routed.

    The form of the releases that knew of one challenger only is read as well.
    """
    try:
        hosts = json.loads(path.read_text())["resources"][0]["virtual_hosts"]
        found = [
            route["metadata"]["filter_metadata"][METADATA]["split"]
            for route in hosts[0]["routes"]
            if "metadata" in route
        ]
    except (OSError, ValueError, KeyError, IndexError):
        return {}
    by_use_case = {values["champion"]["usecase"]: values for values in found}  # many routes, one split
    return {name: _split(values) for name, values in by_use_case.items()}


def _split(values: Mapping[str, Any]) -> Split:
    if "challengers" in values:
        challengers = tuple((_backend(backend), int(percent)) for backend, percent in values["challengers"])
    else:
        one = values["challenger"]
        challengers = ((_backend(one), int(values["percent"])),) if one else ()
    return Split(
        _backend(values["champion"]),
        challengers,
        values["rollout"],
        values.get("mirror_percent", 0.0),
        *(_backend(values[role]) if values.get(role) else None for role in ("previous", "default")),
    )


def _backend(values: Mapping[str, Any]) -> Backend:
    replicas = tuple(Replica(**one) for one in values["replicas"])
    return Backend(values["usecase"], values["version"], replicas)
