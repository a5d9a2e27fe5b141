"""Logs trials as nested MLflow runs beside the search, so that the next fit does not wait for the server."""

from concurrent.futures import Future, ThreadPoolExecutor
from time import time
from types import TracebackType
from typing import Self

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from training.search import TrialReport

PARENT = "mlflow.parentRunId"


class TrialRecorder:
    """Three calls a trial (create, one batch, end), in order, on a thread of its own. Leaving waits for the last.

    Raises when left: whatever a call raised, unless an exception is already on its way.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, parent_run_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._parent = parent_run_id
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
        self._calls.append(self._thread.submit(self._log, trial))

    def _log(self, trial: TrialReport) -> None:
        now = int(time() * 1000)
        tags = {PARENT: self._parent}
        name = f"trial {trial.number}: {trial.family}"
        run = self._client.create_run(
            self._experiment_id, start_time=now - int(trial.seconds * 1000), run_name=name, tags=tags
        )
        self._client.log_batch(
            run.info.run_id,
            metrics=[
                Metric(key, value, now, 0)
                for key, value in (trial.scores.metrics() | {"seconds": trial.seconds}).items()
            ],
            params=[Param("family", trial.family), *(Param(key, str(value)) for key, value in trial.params.items())],
            tags=[RunTag("trial", str(trial.number))],
        )
        self._client.set_terminated(run.info.run_id, end_time=now)
