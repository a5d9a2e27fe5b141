"""Monitoring's runs in MLflow: opened with the decision, closed when the report is there."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from flywheel.tracking import FILES, PROXIED, Tracking

NOTE = "mlflow.note.content"  # what MLflow's page shows as the run's description
# Without it the page takes an experiment without models for one about prompts, and shows it under GenAI.
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True)
class Run:
    """One run, and where its artifacts go."""

    run_id: str
    experiment_id: str
    artifacts: str


class Pages(Tracking):
    """MLflow's client with runs that stay open while their report is made; raises as `Tracking` does."""

    def page(self, run: Run, artifact: str = "") -> str:
        """Return the address of a run's page, or of one artifact on it."""
        place = f"{self._url}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        return f"{place}/artifacts/{artifact}" if artifact else place

    def start_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> Run:
        """Start a run in an experiment, which is made when missing; `tags` are its first."""
        number = self._experiment(experiment)
        for key, value in EXPERIMENT_KIND.items():
            self._call("POST", "experiments/set-experiment-tag", experiment_id=number, key=key, value=value)
        who = {"mlflow.user": self._user, "mlflow.source.name": "flywheel monitor", "mlflow.source.type": "JOB"}
        fields = {"experiment_id": number, "run_name": name, "start_time": _now(), "tags": _pairs({**who, **tags})}
        info = self._call("POST", "runs/create", **fields)["run"]["info"]
        return Run(info["run_id"], number, str(info["artifact_uri"]).removeprefix(PROXIED).strip("/"))

    def log(self, run: Run, metrics: Mapping[str, float], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log figures, parameters and tags in one call."""
        moment = _now()
        values = [{"key": key, "value": value, "timestamp": moment, "step": 0} for key, value in metrics.items()]
        fields = {"metrics": values, "params": _pairs(params), "tags": _pairs(tags)}
        self._call("POST", "runs/log-batch", run_id=run.run_id, **fields)

    def upload(self, run: Run, path: str, content: bytes) -> None:
        """Store one artifact of a run under `path`."""
        self._request("PUT", f"{FILES}/{quote(f'{run.artifacts}/{path}')}", content)

    def upload_files(self, run: Run, folder: str, files: list[Path]) -> None:
        """Store files under one folder of the run's artifacts."""
        for file in files:
            self.upload(run, f"{folder}/{file.name}", file.read_bytes())

    def end_run(self, run: Run) -> None:
        """Say that the run has ended."""
        self._call("POST", "runs/update", run_id=run.run_id, status="FINISHED", end_time=_now())

    def newest_version(self, model: str, author: str) -> str | None:
        """Return the newest version of a model that `author` registered, None when there is none."""
        authored = (found for found in self.versions(model) if found.tags.get("flywheel.author") == author)
        return next((found.version for found in authored), None)


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    return int(time.time() * 1000)
