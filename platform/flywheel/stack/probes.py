"""Small live checks over HTTP, on loopback or on a unix socket: `http+unix://` and its path, percent-encoded."""

import http.client
import json
import socket
from base64 import b64encode
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

TIMEOUT = 3.0
UNIX = "http+unix"


def unix_url(path: Path) -> str:
    """Return the address of a unix socket that speaks HTTP."""
    return f"{UNIX}://{quote(str(path), safe='')}"


def http_status(url: str) -> int | str:
    """Return the status of a GET, or why there is no answer."""
    try:
        return request("GET", url)[0]
    except OSError as fault:
        return _reason(fault, url)


def healthy(url: str) -> str | None:
    """Return why a page does not answer with 200, or None when it does."""
    status = http_status(url)
    if isinstance(status, str):
        return status
    return None if status == 200 else f"{url} answered {status}"


def request(
    method: str, url: str, document: object = None, *, login: tuple[str, str] | None = None, timeout: float = TIMEOUT
) -> tuple[int, bytes]:
    """Send one request, optionally with a JSON document and a login; return status and body.

    Raises:
        OSError: No answer within `timeout` seconds, or none that is HTTP.
    """
    # http.client and not urllib: a proxy of the caller's environment must not see what goes over loopback.
    parts = urlsplit(url)
    headers = {}
    if login:
        headers["Authorization"] = "Basic " + b64encode(":".join(login).encode()).decode()
    body = None
    if document is not None:
        headers["Content-Type"], body = "application/json", json.dumps(document)
    connection = _connection(parts, timeout)
    try:
        connection.request(method, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as fault:
        raise OSError(f"no HTTP answer ({type(fault).__name__})") from fault
    finally:
        connection.close()


def _connection(parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
    if parts.scheme == UNIX:
        return _UnixConnection(unquote(parts.netloc), timeout)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(self.timeout)
        try:
            connected.connect(self._path)
        except OSError:
            connected.close()
            raise
        self.sock = connected


def _reason(fault: OSError, url: str) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return f"nobody listens at {unquote(urlsplit(url).netloc)}"
    if isinstance(fault, TimeoutError):
        return f"{url} did not answer within {TIMEOUT:.0f} s"
    return str(fault)
