"""MLflow's REST interface on urllib3: one login on one server, JSON calls, files, and faults that say what to do.

Plain HTTP because importing mlflow takes 4.5 s and importing this 0.1 s, and a controller's tick asks for little. Only
`flywheel.tracking` speaks through it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from flywheel.errors import StackError, TransientError, UsageError

API = "/api/2.0/mlflow"
OWN = "/flywheel/api"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)  # seconds
RETRIES = urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=(502, 503, 504), raise_on_status=False)
PAGE = 200
# What MLflow's registry says of a model, a version or an alias that is not there.
UNKNOWN = re.compile(r"(Registered Model with|Registered model alias|Model Version \().*not found\.?$")


class RefusedError(StackError):
    """The server understood and refused; `code` is MLflow's error code, like PERMISSION_DENIED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Rest:
    """One login on one MLflow server. Threads may share it.

    Raises:
        UsageError: The server refuses the login.
        RefusedError: It refuses a call, or does not know what is asked for.
        TransientError: It does not answer now.
    """

    # No login is a login too; a service token stands for user and password. Who gives `most_seconds` waits no longer
    # for the answer to a call (files take what they take), and does not ask again after that.
    def __init__(
        self, url: str, user: str = "", password: str = "", *, token: str = "", most_seconds: float | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.user = user
        headers = urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}
        if token:
            headers = {"authorization": f"Bearer {token}"}
        self._http = urllib3.PoolManager(headers=headers, timeout=TIMEOUT, retries=RETRIES)
        self._calls: dict[str, Any] = {}
        if most_seconds is not None:
            timeout = urllib3.Timeout(connect=TIMEOUT.connect_timeout, read=most_seconds)
            self._calls = {"timeout": timeout, "retries": RETRIES.new(read=0)}

    def call(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """Make one call below `/api/2.0/mlflow` and return its JSON; a GET's fields are its query."""
        return self._call(method, f"{API}/{path}", fields)

    def own(self, method: str, path: str, **fields: str) -> dict[str, Any]:
        """Make one call below `/flywheel/api`, the registry's own routes, and return its JSON; GET as in `call`.

        `path` goes out as it is: quote the names in it.
        """
        return self._call(method, f"{OWN}/{path}", fields)

    def _call(self, method: str, address: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        if method == "GET":
            return self._json(self._request("GET", f"{address}?{urlencode(fields)}", **self._calls))
        body, headers = json.dumps(fields).encode(), {"Content-Type": "application/json"}
        return self._json(self._request(method, address, body, headers, **self._calls))

    def entries(self, path: str, key: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield what a search finds under `key`, page by page."""
        token = ""
        while True:
            page = self.call("GET", path, max_results=PAGE, **query, **({"page_token": token} if token else {}))
            yield from page.get(key, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def files(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        """Yield the paths of all files below a folder of the artifact store."""
        query = urlencode({"path": str(folder)})
        for entry in self._json(self._request("GET", f"{FILES}?{query}")).get("files", []):
            path = folder / PurePosixPath(entry["path"]).name
            if entry.get("is_dir"):
                yield from self.files(path)
            else:
                yield path

    def read_file(self, path: PurePosixPath) -> bytes:
        """Return the bytes of one file of the artifact store."""
        return self._request("GET", f"{FILES}/{quote(str(path))}")

    def write_file(self, path: PurePosixPath, content: bytes) -> None:
        """Store one file in the artifact store, over what was there."""
        self._request("PUT", f"{FILES}/{quote(str(path))}", content)

    def _json(self, content: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(content or b"{}")
        return answer

    def _request(
        self, method: str, address: str, body: bytes | None = None, headers: dict[str, str] | None = None, **limits: Any
    ) -> bytes:
        headers = {**self._http.headers, **(headers or {})}
        try:
            answer = self._http.request(method, self.url + address, body=body, headers=headers, **limits)
        except urllib3.exceptions.HTTPError as fault:
            raise TransientError(f"MLflow at {self.url} does not answer. Look at `flywheel status`.") from fault
        if answer.status < 400:
            return answer.data
        raise _fault(answer.status, answer.data, self.url, self.user)


def _fault(status: int, content: bytes, url: str, user: str) -> Exception:
    """Turn an answer into the fault that says what the caller can do."""
    if status == 401:
        return UsageError(
            f"MLflow at {url} refuses the login of '{user}'. Run `flywheel env --user {user or 'NAME'}` again."
        )
    try:
        told = json.loads(content)
        code, message = str(told.get("error_code", status)), str(told.get("message", ""))
    except (ValueError, AttributeError):
        code, message = str(status), content[:200].decode(errors="replace")
    if status >= 500:
        return TransientError(f"MLflow at {url} fails with status {status}: {message} Look at `flywheel status`.")
    if UNKNOWN.match(message):
        message = f"{message.rstrip('.')}. Name one that MLflow lists: {url}/#/models."
    return RefusedError(code, message or f"MLflow at {url} refuses with status {status}.")
