"""The keys of JSON Web Tokens (JWKS), which Envoy reads again and again: they come and go without a restart.

Envoy reads a JWKS file once, at its start, but fetches one over HTTP as often as it is told. So a file is served to
Envoy by Envoy itself, on a unix socket that only the stack's user may open.
"""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from flywheel.errors import SpecError
from flywheel.serving import Jwt
from flywheel.stack.envoy import TYPES, duration, http_manager_of, pipe, pipe_listener

KEYS = "keys"
FILE_SECONDS = 1.0
FETCH_SECONDS = 5.0
MOST_BYTES = 1 << 20


def keys_source(jwt: Jwt) -> dict[str, Any]:
    """Return where and how often the keys are fetched; without an answer the former ones stay."""
    address = jwt.jwks_url or f"http://{KEYS}/"
    every = jwt.refresh_seconds if jwt.jwks_url else FILE_SECONDS
    return {
        "http_uri": {"uri": address, "cluster": KEYS, "timeout": duration(FETCH_SECONDS)},
        "cache_duration": duration(every),
        "async_fetch": {"failed_refetch_duration": "1s"},
    }


def keys_listener(jwt: Jwt, socket: Path) -> dict[str, Any] | None:
    """Return the listener that serves a file of keys; None when they come from elsewhere."""
    if jwt.jwks is None:
        return None
    body = {"filename": str(jwt.jwks), "watched_directory": {"path": str(jwt.jwks.parent)}}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": body}}
    host = {"name": KEYS, "domains": ["*"], "routes": [route]}
    routes = {"name": KEYS, "max_direct_response_body_size_bytes": MOST_BYTES, "virtual_hosts": [host]}
    return pipe_listener(KEYS, socket, http_manager_of(stat_prefix=KEYS, route_config=routes))


def keys_cluster(jwt: Jwt, socket: Path) -> dict[str, Any]:
    """Return the cluster that the keys are fetched from.

    Raises:
        SpecError: Nothing is known of whom this machine trusts.
    """
    cluster: dict[str, Any] = {"name": KEYS, "connect_timeout": "2s"}
    if jwt.jwks_url is None:
        return {**cluster, "type": "STATIC", "load_assignment": _assignment(pipe(socket))}
    parts = urlsplit(jwt.jwks_url)
    secure = parts.scheme == "https"
    place = {"address": parts.hostname, "port_value": parts.port or (443 if secure else 80)}
    return {
        **cluster,
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "ALL",
        "load_assignment": _assignment({"socket_address": place}),
        **({"transport_socket": _tls(jwt, parts)} if secure else {}),
    }


def _assignment(address: dict[str, Any]) -> dict[str, Any]:
    return {"cluster_name": KEYS, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _tls(jwt: Jwt, parts: SplitResult) -> dict[str, Any]:
    """Trust only a certificate for this very host: whoever answers here says whose tokens are let in."""
    authorities = str(jwt.jwks_ca) if jwt.jwks_ca else ssl.get_default_verify_paths().cafile
    if authorities is None:
        raise SpecError("gateway.jwt: whom this machine trusts is not known. Name a PEM file as 'jwks_ca'.")
    name = {"san_type": "DNS", "matcher": {"exact": parts.hostname}}
    trusted = {"trusted_ca": {"filename": authorities}, "match_typed_subject_alt_names": [name]}
    context = {
        "@type": f"{TYPES}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": parts.hostname,
        "common_tls_context": {"validation_context": trusted},
    }
    return {"name": "tls", "typed_config": context}
