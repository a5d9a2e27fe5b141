"""Follows a study from a thread of its own, and tells of each settled trial once, whichever worker ran it."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import optuna
from optuna.exceptions import StorageInternalError

from training.search.budget import is_settled
from training.search.trial import TrialReport, report_of

PAUSE = 1.0  # seconds between looks


class Follower:
    """Between enter and exit, calls `report` for each settled trial, in the order of their ends. Exit tells the rest.

    What `report` raises ends the following, and is raised at exit unless an exception is on its way already.
    """

    def __init__(self, study: optuna.Study, report: Callable[[TrialReport], None]) -> None:
        self._study = study
        self._report = report
        self._told: set[int] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="trial-follower", daemon=True)
        self._fault: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if kind is not None:
            return
        if self._fault is None:
            self._tell()
        if self._fault is not None:
            raise self._fault

    def _follow(self) -> None:
        while not self._done.wait(PAUSE):
            try:
                self._tell()
            except StorageInternalError:  # the worker beside this thread deals with it; told later
                continue
            except Exception as fault:  # noqa: BLE001  a thread's edge: raised again where the search ends
                self._fault = fault
                return

    def _tell(self) -> None:
        settled = [t for t in self._study.get_trials(deepcopy=False) if t.number not in self._told and is_settled(t)]
        for trial in sorted(settled, key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete)):
            self._told.add(trial.number)
            self._report(report_of(trial))
