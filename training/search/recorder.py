"""Logs trials as nested MLflow runs beside the search, so that the next fit does not wait for the server."""

from concurrent.futures import Future, ThreadPoolExecutor
from time import time
from types import TracebackType
from typing import Self

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from training.search.trial import TrialReport

PARENT = "mlflow.parentRunId"
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
LONGEST = 5000  # characters that MLflow takes for a tag's value, well below its limit


class TrialRecorder:
    """Three calls a trial (create, one batch, end), in order, on a thread of its own. Leaving waits for the last.

    Raises when left: whatever a call raised, unless an exception is already on its way.

    Args:
        client: Of the MLflow server.
        experiment_id: Of the parent.
        parent_run_id: The run that the trials hang below.
        metric: Name of what the search compares.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, parent_run_id: str, metric: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._parent = parent_run_id
        self._metric = metric
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trial-recorder")
        self._calls: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for call in self._calls:
                call.result()

    def __call__(self, trial: TrialReport) -> None:
        """Hand a finished trial over; returns at once."""
        self._calls.append(self._thread.submit(self._log, trial, int(time() * 1000)))

    def _log(self, trial: TrialReport, ended: int) -> None:
        name = f"trial {trial.number}: {trial.family}"
        started = ended - int(trial.seconds * 1000)
        tags = {PARENT: self._parent}
        run = self._client.create_run(self._experiment_id, start_time=started, run_name=name, tags=tags)
        values = {
            "seconds": trial.seconds,
            **({f"validation_{self._metric}": trial.value} if trial.value is not None else {}),
        }
        metrics = [Metric(key, value, ended, 0) for key, value in values.items()]
        # One value a fold, as steps of one metric: MLflow draws them as a line.
        metrics += [Metric(f"fold_{self._metric}", value, ended, step) for step, value in enumerate(trial.folds)]
        notes = {"trial": str(trial.number), "state": trial.state, "worker": trial.worker, "fault": trial.fault or ""}
        self._client.log_batch(
            run.info.run_id,
            metrics=metrics,
            params=[Param("family", trial.family), *(Param(key, str(value)) for key, value in trial.params.items())],
            tags=[RunTag(key, value[:LONGEST]) for key, value in notes.items() if value],
        )
        self._client.set_terminated(run.info.run_id, STATUS[trial.state], end_time=ended)
