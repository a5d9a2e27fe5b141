"""Small live checks over HTTP on loopback."""

import http.client
import json
from base64 import b64encode
from urllib.parse import urlsplit

TIMEOUT = 3.0


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
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
    try:
        connection.request(method, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as fault:
        raise OSError(f"no HTTP answer ({type(fault).__name__})") from fault
    finally:
        connection.close()


def _reason(fault: OSError, url: str) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return f"nobody listens at {urlsplit(url).netloc}"
    if isinstance(fault, TimeoutError):
        return f"{url} did not answer within {TIMEOUT:.0f} s"
    return str(fault)
