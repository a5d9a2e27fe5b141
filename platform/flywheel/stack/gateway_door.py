"""Who is let in at the gateway, and how often: the HTTP filters before the router, from serving.yaml.

A client's name reaches limits, quotas and agents in `x-flywheel-client`, which nobody outside can set: all such
headers are removed before the first filter runs.
"""

import fnmatch
import re
from typing import Any

from flywheel.serving import ClientLimits, GatewayServing, Jwt
from flywheel.stack.envoy import duration, extension
from flywheel.stack.gateway_keys import keys_source

CLIENT = "x-flywheel-client"
DOORMAN = "doorman"
# A doorman that died is back after a second, or several on a busy machine: until then requests wait for it.
DOORMAN_SECONDS = 10.0
# A dead one is asked again at once, then up to half a second later each time: so often within these seconds.
DOORMAN_TRIES = 40
MOST_WAITING = 10_000
# Of what a client sends none may say how it is routed, counted, recorded or retried.
STRIPPED = (
    CLIENT,
    "x-flywheel-arm",
    "x-flywheel-rollout",
    "x-flywheel-previous",
    "x-flywheel-attempt",
    "x-envoy-attempt-count",
    "x-envoy-max-retries",
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-original-path",
)
UNLIMITED = 2**32 - 1
MOST_CLIENTS = 10_000


def early_mutation() -> dict[str, Any]:
    """Remove what only the gateway may say, before any filter."""
    mutations = [{"remove": name} for name in STRIPPED]
    return extension("strip", "http.early_header_mutation.header_mutation.v3.HeaderMutation", mutations=mutations)


def filters(serving: GatewayServing) -> list[dict[str, Any]]:
    """Return the filters in their order: who is it, may it, how often, how much."""
    found = []
    if (jwt := token_issuer(serving)) is not None:
        found.append(_jwt(jwt, alone=serving.auth == "jwt"))
        found += [_named()] if serving.auth == "jwt" else []
    if needs_doorman(serving):
        found.append(_doorman())
    if rates := _rates(serving):
        found.append(rates)
    # Its limit stands at each route that takes a body, and only there it is on.
    buffer = extension("buffer", "filters.http.buffer.v3.Buffer", max_request_bytes=1)
    return [*found, {**buffer, "disabled": True}]


def token_issuer(serving: GatewayServing) -> Jwt | None:
    """Return whose JSON Web Tokens let somebody in, None when nobody's do."""
    return serving.jwt if serving.auth in ("jwt", "any") else None


def needs_doorman(serving: GatewayServing) -> bool:
    """Say whether requests are asked about: for service tokens, and to count those of a day."""
    quotas = any(one.requests_per_day for one in (serving.limits, *serving.clients.values()))
    return serving.auth in ("token", "any") or quotas


def doorman_cluster(socket: str) -> dict[str, Any]:
    """Return the cluster of the doorman's unix socket."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "name": DOORMAN,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "load_assignment": {"cluster_name": DOORMAN, "endpoints": [{"lb_endpoints": [endpoint]}]},
        # All requests that wait for it ask again; Envoy would let three do so at a time.
        "circuit_breakers": {"thresholds": [{"max_retries": MOST_WAITING, "max_pending_requests": MOST_WAITING}]},
    }


def _jwt(jwt: Jwt, *, alone: bool) -> dict[str, Any]:
    provider = {
        "issuer": jwt.issuer,
        **({"audiences": list(jwt.audiences)} if jwt.audiences else {}),
        # Without Envoy's cache of tokens: a token that is in it stays valid when its key is taken away.
        "remote_jwks": keys_source(jwt),
        "claim_to_headers": [{"header_name": CLIENT, "claim_name": jwt.claim}],
        "require_expiration": True,
    }
    wanted: dict[str, Any] = {"provider_name": "clients"}
    if not alone:  # what is no JWT may be a service token: the doorman refuses who is neither
        wanted = {"requires_any": {"requirements": [wanted, {"allow_missing_or_failed": {}}]}}
    rules = [{"match": {"prefix": "/"}, "requires": wanted}]
    return extension("jwt", "filters.http.jwt_authn.v3.JwtAuthentication", providers={"clients": provider}, rules=rules)


def _named() -> dict[str, Any]:
    """Refuse a token that names no client: nobody could say how much it may ask. The doorman does so by itself."""
    named = {"name": CLIENT, "string_match": {"safe_regex": {"regex": ".+"}}}
    anyone = {"permissions": [{"any": True}], "principals": [{"header": named}]}
    return extension("named", "filters.http.rbac.v3.RBAC", rules={"action": "ALLOW", "policies": {"named": anyone}})


def _doorman() -> dict[str, Any]:
    asked = [{"exact": name} for name in ("authorization", CLIENT, "x-forwarded-for")]
    service = {
        "server_uri": {"uri": "http://doorman", "cluster": DOORMAN, "timeout": duration(DOORMAN_SECONDS)},
        "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": CLIENT}]}},
        "retry_policy": {
            "retry_on": "connect-failure,reset",
            "num_retries": DOORMAN_TRIES,
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
        },
    }
    return extension(
        "doorman",
        "filters.http.ext_authz.v3.ExtAuthz",
        http_service=service,
        allowed_headers={"patterns": asked},
        status_on_error={"code": "ServiceUnavailable"},
        # Who is turned away is no request of an arm, and a doorman that is down no error of a version.
        charge_cluster_response_stats=False,
    )


def _rates(serving: GatewayServing) -> dict[str, Any] | None:
    """Give every client a bucket of its own; a pattern's clients each have one too."""
    named = serving.auth != "none"
    who = {"request_headers": {"header_name": CLIENT, "descriptor_key": "client"}} if named else {"remote_address": {}}
    key = "client" if named else "remote_address"
    groups = [*serving.clients.items(), (None, serving.limits)] if named else [(None, serving.limits)]
    limits, descriptors, earlier = [], [], list[str]()
    for number, (pattern, one) in enumerate(groups):
        group = {"header_value_match": {"descriptor_value": f"group-{number}", "headers": _group(pattern, earlier)}}
        if one.requests_per_second is not None:
            limits.append({"actions": [group, who] if named else [who]})
            entries = [{"key": "header_match", "value": f"group-{number}"}, {"key": key}]
            descriptors.append({"entries": entries if named else entries[1:], "token_bucket": _bucket(one)})
        earlier += [pattern] if pattern is not None else []
    if not limits:
        return None
    always = {"default_value": {"numerator": 100}}
    return extension(
        "rates",
        "filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="rates",
        token_bucket={"max_tokens": UNLIMITED, "tokens_per_fill": UNLIMITED, "fill_interval": "1s"},
        filter_enabled=always,
        filter_enforced=always,
        rate_limits=limits,
        descriptors=descriptors,
        max_dynamic_descriptors=MOST_CLIENTS,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        rate_limited_as_resource_exhausted=True,
        response_headers_to_add=[{"header": {"key": "retry-after", "value": "1"}}],
    )


def _group(pattern: str | None, earlier: list[str]) -> list[dict[str, Any]]:
    """Match the clients of a pattern that no earlier pattern has."""
    found = [{**_matches(one), "invert_match": True, "treat_missing_header_as_empty": True} for one in earlier]
    return [*found, _matches(pattern if pattern is not None else "*")]


def _matches(pattern: str) -> dict[str, Any]:
    return {"name": CLIENT, "string_match": {"safe_regex": {"regex": _re2(pattern)}}}


def _re2(pattern: str) -> str:
    """Write a shell's pattern as RE2 reads it: Python's own translation has groups that RE2 does not know."""
    parts = re.split(r"(\*|\?|\[[^]]+\])", pattern)
    signs = {"*": ".*", "?": "."}
    return "".join(
        signs.get(one, fnmatch.translate(one)[4:-3] if one.startswith("[") and len(one) > 1 else re.escape(one))
        for one in parts
    )


def _bucket(limits: ClientLimits) -> dict[str, Any]:
    rate = limits.requests_per_second or 0
    return {"max_tokens": max(limits.burst or rate, rate), "tokens_per_fill": rate, "fill_interval": "1s"}
