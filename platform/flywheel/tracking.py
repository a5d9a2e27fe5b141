"""The MLflow client of deploy and monitoring: versions and aliases of the registry, model folders, report runs.

Plain REST on urllib3: importing mlflow takes 4.5 s, importing this 0.1 s, and a controller's tick asks for little.
Every call is one round trip (a download: one a file) and safe to repeat, except `log_report_run`.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import quote, urlencode

import urllib3

from flywheel.errors import StackError, TransientError, UsageError

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
PROXIED = "mlflow-artifacts:/"
TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)  # seconds
RETRIES = urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=(502, 503, 504), raise_on_status=False)
PAGE = 200


class RefusedError(StackError):
    """The server understood and refused; `code` is MLflow's error code, like PERMISSION_DENIED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Version:
    """One version as the registry has it. `stage` is one of None, Staging, Production, Archived."""

    name: str
    version: str
    stage: str
    run_id: str
    source: str
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    created_ms: int = 0


class Tracking:
    """One login on one MLflow server. Threads may share it.

    Raises:
        UsageError: The server refuses the login.
        RefusedError: It refuses a call, or does not know what is asked for.
        TransientError: It does not answer now.
    """

    def __init__(self, url: str, user: str = "", password: str = "") -> None:  # no login is a login too
        self._url = url.rstrip("/")
        self._user = user
        headers = urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}
        self._http = urllib3.PoolManager(headers=headers, timeout=TIMEOUT, retries=RETRIES)

    @classmethod
    def from_login(cls, environment: Mapping[str, str]) -> Self:
        """Use the variables that `flywheel.connections.login` gives.

        Raises:
            UsageError: No server is named.
        """
        url = environment.get("MLFLOW_TRACKING_URI", "")
        if not url.startswith(("http://", "https://")):
            raise UsageError('MLFLOW_TRACKING_URI names no server. Log in with `eval "$(flywheel env --user NAME)"`.')
        user, password = (
            environment.get("MLFLOW_TRACKING_USERNAME", ""),
            environment.get("MLFLOW_TRACKING_PASSWORD", ""),
        )
        return cls(url, user, password)

    def registered_models(self) -> list[str]:
        """Return the names of all registered models that the user may see."""
        return [model["name"] for model in self._pages("registered-models/search", "registered_models")]

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a model, the newest first; none when there is no such model."""
        found = self._pages("model-versions/search", "model_versions", filter=f"name='{name}'")
        return sorted((_version(entry) for entry in found), key=lambda version: -int(version.version))

    def production_versions(self, name: str) -> list[Version]:
        """Return the versions in stage Production, the newest first."""
        return [version for version in self.versions(name) if version.stage == "Production"]

    def version(self, name: str, version: str) -> Version:
        """Return one version."""
        return _version(self._call("GET", "model-versions/get", name=name, version=version)["model_version"])

    def alias(self, name: str, alias: str) -> str | None:
        """Return the version that an alias points at; None without one."""
        try:
            return str(self._call("GET", "registered-models/alias", name=name, alias=alias)["model_version"]["version"])
        except RefusedError as fault:
            if fault.code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # MLflow says either
                return None
            raise

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version, wherever it pointed before."""
        self._call("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; nothing happens when there is none."""
        if self.alias(name, alias) is not None:
            self._call("DELETE", "registered-models/alias", name=name, alias=alias)

    def transition(self, name: str, version: str, stage: str) -> Version:
        """Move a version to a stage; versions that are there already stay."""
        body = {"name": name, "version": version, "stage": stage, "archive_existing_versions": False}
        return _version(self._call("POST", "model-versions/transition-stage", **body)["model_version"])

    def archive(self, name: str, version: str) -> Version:
        """Move a version to stage Archived."""
        return self.transition(name, version, "Archived")

    def download(self, name: str, version: str, folder: Path) -> Path:
        """Copy a version's model folder, byte for byte as the artifact store has it.

        `folder` must not exist. Either the whole folder appears or none: files are gathered beside it first.
        """
        uri = str(self._call("GET", "model-versions/get-download-uri", name=name, version=version)["artifact_uri"])
        if not uri.startswith(PROXIED):
            raise StackError(
                f"Version {version} of {name} lies at {uri}, outside the server's artifacts. Register another."
            )
        root = PurePosixPath(uri.removeprefix(PROXIED).lstrip("/"))
        parts = folder.with_name(folder.name + ".part")
        shutil.rmtree(parts, ignore_errors=True)
        for path in self._files(root):
            target = parts / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self._request("GET", f"{FILES}/{quote(str(path))}"))
        if not parts.is_dir():
            raise StackError(f"Version {version} of {name} has no files. Register it again.")
        parts.rename(folder)
        return folder

    def log_report_run(
        self,
        experiment: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        artifacts: Mapping[str, Path],
        name: str = "",
    ) -> str:
        """Log one finished run, with files by their path in the run, and return its id.

        Makes the experiment when there is none.
        """
        now = int(time.time() * 1000)
        body = {"experiment_id": self._experiment(experiment), "start_time": now, "run_name": name}
        run = self._call("POST", "runs/create", **body)["run"]["info"]
        self._call(
            "POST",
            "runs/log-batch",
            run_id=run["run_id"],
            metrics=[{"key": key, "value": value, "timestamp": now, "step": 0} for key, value in metrics.items()],
            params=[{"key": key, "value": value} for key, value in params.items()],
        )
        root = str(run["artifact_uri"]).removeprefix(PROXIED).lstrip("/")
        for path, file in artifacts.items():
            self._request("PUT", f"{FILES}/{quote(f'{root}/{path}')}", file.read_bytes())
        self._call("POST", "runs/update", run_id=run["run_id"], status="FINISHED", end_time=int(time.time() * 1000))
        return str(run["run_id"])

    def run_url(self, experiment: str, run_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self._url}/#/experiments/{self._experiment(experiment)}/runs/{run_id}"

    def _experiment(self, name: str) -> str:
        try:
            found = self._call("GET", "experiments/get-by-name", experiment_name=name)
            return str(found["experiment"]["experiment_id"])
        except RefusedError as fault:
            if fault.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        return str(self._call("POST", "experiments/create", name=name)["experiment_id"])

    def _files(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        query = urlencode({"path": str(folder)})
        for entry in json.loads(self._request("GET", f"{FILES}?{query}")).get("files", []):
            path = folder / PurePosixPath(entry["path"]).name
            if entry.get("is_dir"):
                yield from self._files(path)
            else:
                yield path

    def _pages(self, path: str, key: str, **query: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._call("GET", path, max_results=PAGE, **query, **({"page_token": token} if token else {}))
            yield from page.get(key, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _call(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        address = f"{API}/{path}"
        body = None if method == "GET" else json.dumps(fields).encode()
        if method == "GET":
            address += f"?{urlencode(fields)}"
        answer: dict[str, Any] = json.loads(self._request(method, address, body) or b"{}")
        return answer

    def _request(self, method: str, address: str, body: bytes | None = None) -> bytes:
        headers = dict(self._http.headers)
        if body is not None and address.startswith(API):
            headers["Content-Type"] = "application/json"
        try:
            answer = self._http.request(method, self._url + address, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as fault:
            raise TransientError(f"MLflow at {self._url} does not answer. Look at `flywheel status`.") from fault
        if answer.status < 400:
            return answer.data
        raise _fault(answer.status, answer.data, self._url, self._user)


def _version(entry: dict[str, Any]) -> Version:
    return Version(
        name=entry["name"],
        version=str(entry["version"]),
        stage=entry.get("current_stage", "None"),
        run_id=entry.get("run_id", ""),
        source=entry.get("source", ""),
        aliases=tuple(entry.get("aliases", ())),
        tags={tag["key"]: tag.get("value", "") for tag in entry.get("tags", ())},
        created_ms=int(entry.get("creation_timestamp", 0)),
    )


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
    return RefusedError(code, message or f"MLflow at {url} refuses with status {status}.")
