"""TLS at the gateway: certificates named in a watched file, so that a renewed one needs no restart."""

from pathlib import Path
from typing import Any

from flywheel.serving import Tls
from flywheel.stack.envoy import TYPES

SECRET = f"{TYPES}.extensions.transport_sockets.tls.v3.Secret"
CONTEXT = f"{TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
CERTIFICATE, CLIENT_CA = "certificate", "client-ca"


def transport_socket(tls: Tls, folder: Path) -> dict[str, Any]:
    """Return a listener's TLS: at least 1.2; with `client_ca` a client must show a certificate signed by it."""
    common: dict[str, Any] = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [_secret(CERTIFICATE, folder)],
    }
    if tls.client_ca is not None:
        common["validation_context_sds_secret_config"] = _secret(CLIENT_CA, folder)
    context = {"common_tls_context": common, "require_client_certificate": tls.client_ca is not None}
    return {"name": "tls", "typed_config": {"@type": CONTEXT, **context}}


def secret_files(tls: Tls) -> dict[str, dict[str, Any]]:
    """Return the documents that name the files. Envoy reads these anew when one is renamed into their folder."""
    watched = {"watched_directory": {"path": str(tls.certificate.parent)}}
    pair = {"certificate_chain": {"filename": str(tls.certificate)}, "private_key": {"filename": str(tls.key)}}
    found = {CERTIFICATE: {"tls_certificate": {**pair, **watched}}}
    if tls.client_ca is not None:
        trusted = {"trusted_ca": {"filename": str(tls.client_ca)}}
        found[CLIENT_CA] = {"validation_context": {**trusted, "watched_directory": {"path": str(tls.client_ca.parent)}}}
    return {name: {"resources": [{"@type": SECRET, "name": name, **one}]} for name, one in found.items()}


def inline_secrets(socket: dict[str, Any]) -> None:
    """Point a listener's TLS to secrets of the same document: what Envoy can check before any file is written."""
    common = socket["typed_config"]["common_tls_context"]
    common["tls_certificate_sds_secret_configs"] = [{"name": CERTIFICATE}]
    if "validation_context_sds_secret_config" in common:
        common["validation_context_sds_secret_config"] = {"name": CLIENT_CA}


def _secret(name: str, folder: Path) -> dict[str, Any]:
    source = {"path": str(folder / f"{name}.json"), "watched_directory": {"path": str(folder)}}
    return {"name": name, "sds_config": {"resource_api_version": "V3", "path_config_source": source}}
