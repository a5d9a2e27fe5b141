"""The MLflow client of deploy and monitoring: versions and aliases of the registry, model folders, runs with pages.

Every call is one round trip (a download: one a file) and safe to repeat, except `start_run`, which starts another.
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import quote

from flywheel.errors import StackError, UsageError
from flywheel.rest import RefusedError, Rest

PROXIED = "mlflow-artifacts:/"
NOTE = "mlflow.note.content"  # the tag that MLflow's page shows as the run's description
# Without it the page takes an experiment without models for one about prompts, and shows it under GenAI.
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}


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


@dataclass(frozen=True)
class Run:
    """One run that was started here, and where its artifacts go in the artifact store."""

    run_id: str
    experiment_id: str
    artifacts: PurePosixPath


class Tracking:
    """One login on one MLflow server. Threads may share it.

    Raises:
        UsageError: The server refuses the login.
        RefusedError: It refuses a call, or does not know what is asked for.
        TransientError: It does not answer now.
    """

    # No login is a login too; a service token stands for user and password. `most_seconds`: see `Rest`.
    def __init__(
        self, url: str, user: str = "", password: str = "", *, token: str = "", most_seconds: float | None = None
    ) -> None:
        self.rest = Rest(url, user, password, token=token, most_seconds=most_seconds)

    @classmethod
    def from_login(cls, environment: Mapping[str, str], *, most_seconds: float | None = None) -> Self:
        """Use the variables that `flywheel.connections.login` gives, or MLFLOW_TRACKING_TOKEN where no user is named.

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
        # MLflow's own order: a user's name and password come before a token.
        token = "" if user else environment.get("MLFLOW_TRACKING_TOKEN", "")
        return cls(url, user, password, token=token, most_seconds=most_seconds)

    def registered_models(self) -> list[str]:
        """Return the names of all registered models that the user may see."""
        return [model["name"] for model in self.rest.entries("registered-models/search", "registered_models")]

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a model, the newest first; none when there is no such model."""
        found = self.rest.entries("model-versions/search", "model_versions", filter=f"name='{name}'")
        return sorted((_version(entry) for entry in found), key=lambda version: -int(version.version))

    def production_versions(self, name: str) -> list[Version]:
        """Return the versions in stage Production, the newest first."""
        return [version for version in self.versions(name) if version.stage == "Production"]

    def version(self, name: str, version: str) -> Version:
        """Return one version."""
        return _version(self.rest.call("GET", "model-versions/get", name=name, version=version)["model_version"])

    def alias(self, name: str, alias: str) -> str | None:
        """Return the version that an alias points at; None without one."""
        try:
            found = self.rest.call("GET", "registered-models/alias", name=name, alias=alias)
        except RefusedError as fault:
            if fault.code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # MLflow says either
                return None
            raise
        return str(found["model_version"]["version"])

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version, wherever it pointed before."""
        self.rest.call("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; nothing happens when there is none."""
        if self.alias(name, alias) is not None:
            self.rest.call("DELETE", "registered-models/alias", name=name, alias=alias)

    def transition(self, name: str, version: str, stage: str) -> Version:
        """Move a version to a stage; versions that are there already stay."""
        body = {"name": name, "version": version, "stage": stage, "archive_existing_versions": False}
        return _version(self.rest.call("POST", "model-versions/transition-stage", **body)["model_version"])

    def archive(self, name: str, version: str) -> Version:
        """Move a version to stage Archived."""
        return self.transition(name, version, "Archived")

    def signature(self, name: str, version: str) -> str | None:
        """Return the signature (a Sigstore bundle) under a version's package; None when it has none."""
        try:
            found = self.rest.own("GET", f"signature/{quote(name, safe='')}/{quote(version, safe='')}")
        except RefusedError as fault:
            # A registry of another kind answers with a bare 404.
            if fault.code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "404"):
                return None
            raise
        return str(found["bundle"])

    def download(self, name: str, version: str, folder: Path) -> Path:
        """Copy a version's model folder, byte for byte as the artifact store has it.

        `folder` must not exist. Either the whole folder appears or none: files are gathered beside it first.
        """
        uri = str(self.rest.call("GET", "model-versions/get-download-uri", name=name, version=version)["artifact_uri"])
        if not uri.startswith(PROXIED):
            raise StackError(
                f"Version {version} of {name} lies at {uri}, outside the server's artifacts. Register another."
            )
        root = _stored(uri)
        parts = folder.with_name(folder.name + ".part")
        shutil.rmtree(parts, ignore_errors=True)
        for path in self.rest.files(root):
            target = parts / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.rest.read_file(path))
        if not parts.is_dir():
            raise StackError(f"Version {version} of {name} has no files. Register it again.")
        parts.rename(folder)
        return folder

    def start_run(self, experiment: str, name: str, tags: Mapping[str, str], *, source: str) -> Run:
        """Start a run in an experiment, which is made when missing.

        Args:
            experiment: Its name.
            name: Of the run.
            tags: Its first tags.
            source: The command that logs it, as MLflow's page shows it.
        """
        number = self._experiment(experiment)
        for key, value in EXPERIMENT_KIND.items():
            self.rest.call("POST", "experiments/set-experiment-tag", experiment_id=number, key=key, value=value)
        who = {"mlflow.user": self.rest.user, "mlflow.source.name": source, "mlflow.source.type": "JOB"}
        fields = {"experiment_id": number, "run_name": name, "start_time": _now(), "tags": _pairs({**who, **tags})}
        info = self.rest.call("POST", "runs/create", **fields)["run"]["info"]
        return Run(info["run_id"], number, _stored(str(info["artifact_uri"])))

    def log(self, run: Run, metrics: Mapping[str, float], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log figures, parameters and tags in one call."""
        moment = _now()
        values = [{"key": key, "value": value, "timestamp": moment, "step": 0} for key, value in metrics.items()]
        fields = {"metrics": values, "params": _pairs(params), "tags": _pairs(tags)}
        self.rest.call("POST", "runs/log-batch", run_id=run.run_id, **fields)

    def log_dataset(self, run: Run, name: str, digest: str, source: str) -> None:
        """Say what rows a run is about: MLflow's list of runs has a column for that, "name (digest)".

        Args:
            run: Whose.
            name: Of the rows.
            digest: At most 36 characters that change with them.
            source: Where they are from, for people.
        """
        rows = {"name": name, "digest": digest, "source_type": "local", "source": json.dumps({"uri": source})}
        inputs = [{"dataset": rows, "tags": _pairs({"mlflow.data.context": "monitoring"})}]
        self.rest.call("POST", "runs/log-inputs", run_id=run.run_id, datasets=inputs)

    def upload(self, run: Run, path: str, content: bytes) -> None:
        """Store one artifact of a run under `path`."""
        self.rest.write_file(run.artifacts / path, content)

    def end_run(self, run: Run) -> None:
        """Say that the run has ended."""
        self.rest.call("POST", "runs/update", run_id=run.run_id, status="FINISHED", end_time=_now())

    def page(self, run: Run, artifact: str = "") -> str:
        """Return the address of a run's page, or of one artifact on it."""
        place = f"{self.rest.url}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        return f"{place}/artifacts/{artifact}" if artifact else place

    def _experiment(self, name: str) -> str:
        try:
            found = self.rest.call("GET", "experiments/get-by-name", experiment_name=name)
            return str(found["experiment"]["experiment_id"])
        except RefusedError as fault:
            if fault.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        return str(self.rest.call("POST", "experiments/create", name=name)["experiment_id"])


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


def _stored(uri: str) -> PurePosixPath:
    return PurePosixPath(uri.removeprefix(PROXIED).strip("/"))


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    """Return the time as MLflow counts it: milliseconds since 1970."""
    return int(time.time() * 1000)
