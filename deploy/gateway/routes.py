"""The RDS document: which request goes to which use case, split, retried, mirrored; and what the file remembers.

Flows in: splits (a use case's champion, challenger and percent) and serving.yaml. Flows out: a route document.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.gateway.actions import action
from deploy.gateway.clusters import cluster_document
from deploy.gateway.documents import TYPE, document, validate, write_document
from deploy.gateway.sticky import set_cookie, without_cookie
from deploy.gateway.traffic import Backend, Replica, Split, fallback_cluster
from deploy.gateway.unit import with_unit
from flywheel.serving import Serving

__all__ = [
    "Backend",
    "Replica",
    "Split",
    "cluster_document",
    "fallback_cluster",
    "read_splits",
    "route_document",
    "validate",
    "write_document",
]

ROUTE_CONFIG = "models"
METADATA = "flywheel"
GRPC_PREFIX = "/inference.GRPCInferenceService/"
GRPC_USE_CASE = "flywheel-use-case"
# What of an agent can be reached from outside: named one by one, so that its metrics cannot.
AGENT_PATHS = r"(invocations|ping|version|health|feedback|openapi\.json|docs(/.*)?|v2(/.*)?)"
# MLflow's and V2's own paths, for clients that know a model server only by its address.
BARE_PATHS = r"/(invocations|ping|version|health|feedback|openapi\.json|docs(/.*)?|v2(/health/(live|ready))?)"


def route_document(splits: Sequence[Split], serving: Serving | None = None) -> dict[str, Any]:
    """Return the RDS document: `/{usecase}/…` to the use case's split, a sentence with 404 for everything else."""
    settings, ordered = serving or Serving(), sorted(splits, key=lambda split: split.usecase)
    sole = len(ordered) == 1
    routes = [
        with_unit(route, settings.of(split.usecase).sticky)
        for split in ordered
        for route in _routes(split, settings, sole=sole)
    ]
    virtual_host = {
        "name": ROUTE_CONFIG,
        "domains": ["*"],
        "include_request_attempt_count": True,
        "routes": [*routes, _unknown_to_grpc(ordered), _unknown(ordered)],
    }
    return document(
        "envoy.config.route.v3.RouteConfiguration", [{"name": ROUTE_CONFIG, "virtual_hosts": [virtual_host]}]
    )


def read_splits(path: Path) -> dict[str, Split]:
    """Read from a route file which split each use case has; the file itself is the memory of what was routed."""
    try:
        hosts = json.loads(path.read_text())["resources"][0]["virtual_hosts"]
        found = [
            route["metadata"]["filter_metadata"][METADATA]["split"]
            for route in hosts[0]["routes"]
            if "metadata" in route
        ]
    except (OSError, ValueError, KeyError, IndexError):
        return {}
    splits = [_split(values) for values in found]
    return {split.usecase: split for split in splits}


def _split(values: dict[str, Any]) -> Split:
    challenger = _backend(values["challenger"]) if values["challenger"] else None
    return Split(_backend(values["champion"]), challenger, int(values["percent"]), values["rollout"])


def _backend(values: dict[str, Any]) -> Backend:
    replicas = tuple(Replica(**one) for one in values["replicas"])
    return Backend(values["usecase"], values["version"], replicas)


def _routes(split: Split, serving: Serving, *, sole: bool) -> list[dict[str, Any]]:
    """List a use case's routes; before each stands one that refuses what is announced as too long."""
    name = re.escape(split.usecase)
    matches = [_regex(f"/{name}/{AGENT_PATHS}"), _regex(f"/v2/models/{name}(/.*)?")]
    matches += [_regex(BARE_PATHS)] if sole else []
    most, sticky = serving.of(split.usecase).body_bytes, serving.of(split.usecase).sticky
    found = []
    for number, match in enumerate(matches):
        route = _route(split, match, action(split, serving, rewrite=f"^/{name}/" if number == 0 else None), most)
        found.append(_too_long(split, match, most))
        if split.challenger is not None and sticky.cookie:
            given = set_cookie(sticky, secure=serving.gateway.tls is not None)
            unmarked = {**match, "headers": without_cookie(sticky)}
            found.append({**route, "match": unmarked, "response_headers_to_add": [given]})
        found.append(route)
    if split.speaks_grpc:
        act = action(split, serving, grpc=True)
        found += [_route(split, match, act, most, grpc=True) for match in _grpc_matches(split, sole=sole)]
    return found


def _grpc_matches(split: Split, *, sole: bool) -> list[dict[str, Any]]:
    """Name the use case by header or by authority; who names none means the sole one."""
    base: dict[str, Any] = {"prefix": GRPC_PREFIX, "grpc": {}}
    named = {"name": GRPC_USE_CASE, "string_match": {"exact": split.usecase}}
    authority = {
        "name": ":authority",
        "string_match": {"safe_regex": {"regex": f"{re.escape(split.usecase)}([.:].*)?"}},
    }
    unnamed = {"name": GRPC_USE_CASE, "present_match": False}
    matches: list[dict[str, Any]] = [{**base, "headers": [named]}, {**base, "headers": [unnamed, authority]}]
    return [*matches, {**base, "headers": [unnamed]}] if sole else matches


def _regex(pattern: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": pattern}}


def _route(
    split: Split, match: dict[str, Any], act: dict[str, Any], most: int, *, grpc: bool = False
) -> dict[str, Any]:
    # Without this limit bodies above Envoy's 1 MiB would silently not be retried.
    kept = {"request_body_buffer_limit": most}
    route = {"name": split.usecase, "match": match, "route": act, "metadata": _metadata(split), **kept}
    if grpc:  # an agent limits messages itself
        return route
    # The buffer is off but where a route has this: else it would hold what no limit is known of.
    buffer = {"@type": TYPE + "envoy.extensions.filters.http.buffer.v3.BufferPerRoute"}
    return {**route, "typed_per_filter_config": {"buffer": {**buffer, "buffer": {"max_request_bytes": most}}}}


def _metadata(split: Split) -> dict[str, Any]:
    return {"filter_metadata": {METADATA: {"split": asdict(split)}}}


def _too_long(split: Split, match: dict[str, Any], most: int) -> dict[str, Any]:
    announced = {"name": "content-length", "range_match": {"start": most + 1, "end": 2**63 - 1}}
    text = f"The body is larger than {most} bytes, which '{split.usecase}' takes at most. Send less."
    return {"name": split.usecase, "match": {**match, "headers": [announced]}, "direct_response": _answer(413, text)}


def _unknown(splits: Sequence[Split]) -> dict[str, Any]:
    known = ", ".join(f"/{split.usecase}/invocations" for split in splits) or "nothing yet"
    sentence = f"No use case answers at this path. Served here: {known}."
    return {"name": "unknown", "match": {"prefix": "/"}, "direct_response": _answer(404, sentence)}


def _unknown_to_grpc(splits: Sequence[Split]) -> dict[str, Any]:
    """Return the route that Envoy turns into UNIMPLEMENTED for a gRPC caller, with the body as its message."""
    known = ", ".join(split.usecase for split in splits if split.speaks_grpc) or "none"
    sentence = f"Name a use case in the metadata '{GRPC_USE_CASE}'. Those that speak gRPC here: {known}."
    return {"name": "unknown", "match": {"prefix": "/", "grpc": {}}, "direct_response": _answer(404, sentence)}


def _answer(status: int, sentence: str) -> dict[str, Any]:
    """Return an answer of a route; the gateway's local replies put it into the form of the protocol."""
    return {"status": status, "body": {"inline_string": sentence}}
