"""One POST to a receiver: where it may go, and what its answer means."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import urllib3

from flywheel.errors import TransientError
from registry.hooks.consumers import RefusedError

TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)  # seconds
ANSWER_BYTES = 2048  # of the receiver's answer are read
TRANSIENT = frozenset({408, 409, 425, 429})  # of 4xx: worth another try without anybody's doing


def check_url(url: str, *, allow_http: bool) -> None:
    """Pass for https, and for http to this very machine or where it is allowed.

    Raises:
        ValueError: Says what is wrong with it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("url must begin with https:// and name a host")
    if parts.username or parts.password:
        raise ValueError("url may hold no user and password")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise ValueError("url must be https (or set allow_http)")


def origin(url: str) -> str:
    """Return scheme, host and port; the path stays out, since many receivers have a token there."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def is_loopback(host: str) -> bool:
    """Say whether a host is this very machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def post(url: str, payload: bytes, headers: Mapping[str, str]) -> None:
    """POST once. No redirect is followed: events go where the file says.

    Raises:
        TransientError: Not taken.
        RefusedError: Answered with a redirect, or a 4xx that speaks of the request itself.
    """
    status, said = _send(url, payload, headers)
    if 200 <= status < 300:
        return
    fault = f"it answered {status}" + (f": {said}" if said else "")
    raise RefusedError(fault) if 300 <= status < 500 and status not in TRANSIENT else TransientError(fault)


def _send(url: str, payload: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """Return status and the beginning of the answer."""
    try:
        with urllib3.PoolManager(timeout=TIMEOUT, retries=False) as pool:
            answer = pool.request("POST", url, body=payload, headers=headers, redirect=False, preload_content=False)
            try:
                said = answer.read(ANSWER_BYTES, decode_content=False)
            finally:
                answer.close()
    except urllib3.exceptions.HTTPError as fault:
        raise TransientError(f"it does not answer ({type(fault).__name__})") from fault
    return answer.status, " ".join(said.decode(errors="replace").split())[:200]
