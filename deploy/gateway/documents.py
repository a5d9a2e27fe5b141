"""The files that Envoy watches: named by their content, checked by Envoy itself, and replaced in one step."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.stack.envoy import RUNTIME, http_manager_of, listener_of, refusal

TYPE = "type.googleapis.com/"


def document(kind: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    """Name a document by its content, so that config_dump can confirm exactly this one, also after a restart."""
    typed = [{"@type": TYPE + kind, **resource} for resource in resources]
    version = hashlib.sha256(json.dumps(typed, sort_keys=True).encode()).hexdigest()[:16]
    return {"version_info": version, "resources": typed}


def replaced(header: str, value: str) -> dict[str, Any]:
    """Return the change of a header that leaves nothing of what it was."""
    return {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def validate(*documents: dict[str, Any]) -> None:
    """Let Envoy read cluster and route documents as it would in force; takes a third of a second.

    Raises:
        FlywheelError: It refuses them; names its reason.
    """
    resources = [resource for one in documents for resource in one.get("resources", [])]
    clusters = [_untyped(one) for one in resources if one["@type"].endswith(".Cluster")]
    routes = [_untyped(one) for one in resources if one["@type"].endswith(".RouteConfiguration")]
    listeners = [
        # A route file may be older than the clusters beside it: Envoy too looks clusters up at the request.
        listener_of(f"check-{number}", number + 1, http_manager_of(route_config={**route, "validate_clusters": False}))
        for number, route in enumerate(routes)
    ]
    static = {"clusters": clusters, "listeners": listeners}
    found = refusal({"layered_runtime": RUNTIME, "static_resources": static})
    if found is not None:
        raise FlywheelError(
            f"The gateway would refuse its new configuration: {found}. The former one stays in force; see serving.yaml."
        )


def write_document(path: Path, content: dict[str, Any]) -> bool:
    """Replace a watched file in one step: check, write, fsync, rename. An equal document is left alone.

    Returns:
        Whether the file changed.

    Raises:
        FlywheelError: Envoy would refuse it; the file stays as it was.
    """
    text = json.dumps(content, indent=1)
    if path.exists() and path.read_text() == text:
        return False
    validate(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Envoy watches the folder for renames; the new file stands beside the old, so that the rename is atomic.
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return True


def _untyped(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != "@type"}
