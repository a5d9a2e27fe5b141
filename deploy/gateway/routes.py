"""The RDS document: which request goes to which use case, split, retried, mirrored.

Flows in: splits and serving.yaml. Flows out: a route document.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from deploy.gateway.actions import action, forced_action, forced_headers, standing_in
from deploy.gateway.documents import TYPE, document
from deploy.gateway.forced import Chosen, chosen_by_header, chosen_by_path, unforced
from deploy.gateway.remembered import metadata
from deploy.gateway.sticky import set_cookie, without_cookie
from deploy.gateway.traffic import Split
from deploy.gateway.where import GRPC_USE_CASE, Where, grpc_calls, http_paths, version_paths
from flywheel.serving import Serving

ROUTE_CONFIG = "models"


def route_document(splits: Sequence[Split], serving: Serving | None = None) -> dict[str, Any]:
    """Return the RDS document: `/{usecase}/…` to the use case's split, a sentence with 404 for everything else."""
    settings, ordered = serving or Serving(), sorted(splits, key=lambda split: split.usecase)
    sole = len(ordered) == 1
    routes = [route for split in ordered for route in _routes(split, settings, sole=sole)]
    virtual_host = {
        "name": ROUTE_CONFIG,
        "domains": ["*"],
        "include_request_attempt_count": True,
        "routes": [*routes, _unknown_to_grpc(ordered), _unknown(ordered)],
    }
    return document(
        "envoy.config.route.v3.RouteConfiguration", [{"name": ROUTE_CONFIG, "virtual_hosts": [virtual_host]}]
    )


def _routes(split: Split, serving: Serving, *, sole: bool) -> list[dict[str, Any]]:
    """List a use case's routes; before each way in stands one that refuses what is announced as too long."""
    most, named = serving.of(split.usecase).body_bytes, version_paths(split.usecase)
    found = [_too_long(split, where, most) for where in named]
    found += _chosen(split, serving, chosen_by_path(split))
    for where in http_paths(split.usecase, sole=sole):
        found += [_too_long(split, where, most), *_drawn(split, serving, where)]
    if split.speaks_grpc:
        for where in grpc_calls(split.usecase, sole=sole):
            found += _drawn(split, serving, where)
    return found


def _drawn(split: Split, serving: Serving, where: Where) -> list[dict[str, Any]]:
    """List the routes of some requests: those that an arm is drawn for, which are most, then those that name one."""
    sticky, plain = serving.of(split.usecase).sticky, unforced(where)
    changed = {
        "metadata": metadata(split),
        "route": action(split, serving, rewrite=where.rewrite, grpc=where.grpc),
        **standing_in(split),
    }
    found = []
    if split.challengers and sticky.cookie and not where.grpc:
        given = set_cookie(sticky, secure=serving.gateway.tls is not None)
        unmarked = _route(split, serving, plain.having(*without_cookie(sticky)))
        found.append({**unmarked, **changed, "response_headers_to_add": [given]})
    found.append({**_route(split, serving, plain), **changed})
    chosen = chosen_by_header(where, split, allowed=serving.gateway.lets_choose)
    return found + _chosen(split, serving, chosen)


def _chosen(split: Split, serving: Serving, choices: Iterable[Chosen]) -> list[dict[str, Any]]:
    found = []
    for where, who in choices:
        if isinstance(who, str):
            found.append({"name": split.usecase, "match": where.match, "direct_response": _answer(404, who)})
            continue
        act = forced_action(split, who, serving, rewrite=where.rewrite, grpc=where.grpc)
        found.append({**_route(split, serving, where), "route": act, **forced_headers()})
    return found


def _route(split: Split, serving: Serving, where: Where) -> dict[str, Any]:
    """Return a route that does nothing yet."""
    most = serving.of(split.usecase).body_bytes
    # Without this limit bodies above Envoy's 1 MiB would silently not be retried.
    route = {"name": split.usecase, "match": where.match, "request_body_buffer_limit": most}
    if where.grpc:  # an agent limits messages itself
        return route
    # The buffer is off but where a route has this: else it would hold what no limit is known of.
    buffer = {"@type": TYPE + "envoy.extensions.filters.http.buffer.v3.BufferPerRoute"}
    return {**route, "typed_per_filter_config": {"buffer": {**buffer, "buffer": {"max_request_bytes": most}}}}


def _too_long(split: Split, where: Where, most: int) -> dict[str, Any]:
    announced = where.having({"name": "content-length", "range_match": {"start": most + 1, "end": 2**63 - 1}})
    text = f"The body is larger than {most} bytes, which '{split.usecase}' takes at most. Send less."
    return {"name": split.usecase, "match": announced.match, "direct_response": _answer(413, text)}


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
