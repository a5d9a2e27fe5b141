"""Which unit a split request belongs to, told to agents and the access log as `x-flywheel-unit`.

Whatever a caller is hashed by (see `deploy.gateway.sticky`) is its unit: of users who stay on their side, evidence is
counted by user. What a client itself says there, where the split does not go by it, is no unit of the split and goes.
"""

import json
from typing import Any

from deploy.gateway.documents import TYPE, replaced
from deploy.gateway.sticky import REQUEST_ID
from flywheel.serving import Sticky
from flywheel.stack.gateway_door import COOKIE_READER

UNIT = "x-flywheel-unit"
NAMESPACE, KEY = "flywheel", "unit"


def with_unit(route: dict[str, Any], sticky: Sticky) -> dict[str, Any]:
    """Return a route that names the unit of each request that it splits by hash; any other as it is."""
    if not route.get("route", {}).get("weighted_clusters", {}).get("use_hash_policy"):
        return route
    added = [*route.get("request_headers_to_add", []), replaced(UNIT, _value(sticky))]
    removed = [*route.get("request_headers_to_remove", []), *([UNIT] if sticky.header != UNIT else [])]
    named = {**route, "request_headers_to_add": added, "request_headers_to_remove": removed}
    if not sticky.cookie:
        return named
    return {**named, "typed_per_filter_config": route.get("typed_per_filter_config", {}) | _cookie_read(sticky.cookie)}


def _value(sticky: Sticky) -> str:
    """Write the first of what a caller is hashed by; nothing, and so no header, where it shows none of it."""
    operators = [{"command": "REQ", "param": sticky.header}] if sticky.header else []
    if sticky.cookie:
        operators.append({"command": "DYNAMIC_METADATA", "param": f"{NAMESPACE}:{KEY}"})
        operators.append({"command": "REQ", "param": REQUEST_ID})
    return f"%COALESCE({json.dumps({'operators': operators})})%"


def _cookie_read(cookie: str) -> dict[str, Any]:
    """Configure the filter that keeps a cookie's value where a header can be made of it."""
    rule = {"cookie": cookie, "on_header_present": {"metadata_namespace": NAMESPACE, "key": KEY}}
    kind = TYPE + "envoy.extensions.filters.http.header_to_metadata.v3.Config"
    return {COOKIE_READER: {"@type": kind, "request_rules": [rule]}}
