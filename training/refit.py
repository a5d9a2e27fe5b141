"""Fits of one history as of many times, asked for line by line: what a backtest needs of training.

    python -m training.refit --usecase FILE --threads N FOLDER     requests on stdin, answers on stdout

FOLDER holds the history's rows, as `python -m training.encode` wrote them.
A request is a line of JSON, and so is its answer, in order; `{"fault": …}` where it could not be done. Rows are named
by their places in the encoded dataset, which holds them in order of time.

    {"do": "tune", "stop": 41000, "validation": [41200, 60000]}       the parameters that the first trial comes out with
    {"do": "fit", "family": …, "params": {…}, "rows": [0, 60000], "half_life": null, "predict": [60100, 90000],
     "output": "…/fit.npy"}     writes predictions, float64; `half_life` is in microseconds
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from flywheel.errors import FlywheelError
from flywheel.statistics import Floats
from flywheel.usecase import UseCase, load_usecase
from training.data.dataset import Dataset, Rows, open_dataset
from training.data.prediction import predict_matrix
from training.data.weights import row_weights
from training.families.catalogue import DEFAULTS, check_weights, choose_families
from training.families.protocol import Evaluation, Family, FitData


@dataclass(frozen=True)
class History:
    """An encoded history, and the families that may be fitted to it; `threads` are of one fit."""

    usecase: UseCase
    dataset: Dataset
    families: tuple[Family, ...]
    threads: int

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a request says.

        Raises:
            FlywheelError: The fit fails.
        """
        return self._tune(request) if request["do"] == "tune" else self._fit(request)

    def _tune(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Fit the first family's defaults, stopped early on later rows: as the first trial of a search does."""
        family, later = self.families[0], Rows(*request["validation"])
        validation = Evaluation(later.take(self.dataset.matrix), later.take(self.dataset.label))
        data = self._data(Rows(0, request["stop"]), None, validation)
        fitted = family.fit(family.defaults(self.dataset.task), data)
        return {"family": family.name, "params": dict(fitted.params)}

    def _fit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        family = next(one for one in self.families if one.name == request["family"])
        rows, asked = Rows(*request["rows"]), Rows(*request["predict"])
        weight = None
        if request["half_life"] is not None:
            check_weights([family])
            weight = row_weights(rows.take(self.dataset.time), request["half_life"])
        model = family.fit(request["params"], self._data(rows, weight)).model
        prediction = predict_matrix(model, asked.take(self.dataset.matrix), self.dataset.task)
        _write(Path(request["output"]), prediction)
        return {"seconds": round(time.monotonic() - began, 3)}

    def _data(self, rows: Rows, weight: Floats | None, evaluation: Evaluation | None = None) -> FitData:
        return FitData(
            matrix=rows.take(self.dataset.matrix),
            label=rows.take(self.dataset.label),
            columns=self.dataset.columns,
            task=self.dataset.task,
            n_classes=self.dataset.n_classes,
            seed=self.usecase.train.seed,
            threads=self.threads,
            evaluation=evaluation,
            weight=weight,
        )


def answers(history: History, lines: Iterator[str]) -> Iterator[str]:
    """Answer each line; a fit that fails is an answer too."""
    for line in lines:
        try:
            yield json.dumps(history.answer(json.loads(line)))
        except FlywheelError as fault:
            yield json.dumps({"fault": str(fault)})
        except Exception as fault:  # noqa: BLE001  a family's own code: whatever it raises is told to who asked
            yield json.dumps({"fault": f"{type(fault).__name__}: {fault}"})


def _write(path: Path, prediction: Floats) -> None:
    """Write whole or not at all: whoever finds the file may trust it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        np.save(file, prediction)
    draft.replace(path)


def _replies() -> IO[str]:
    """Keep stdout for answers: what libraries print goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def main(arguments: list[str] | None = None) -> None:
    """Answer until stdin ends; a fault of the use case is one line on stderr and an exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.refit")
    parser.add_argument("folder", type=Path, help="what `python -m training.encode` wrote")
    parser.add_argument("--usecase", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        usecase = load_usecase(options.usecase)
        entries = usecase.train.families or DEFAULTS[usecase.task]
        families = choose_families(entries, usecase.task, options.usecase.parent)
        history = History(usecase, open_dataset(options.folder), families, options.threads)
    except FlywheelError as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(fault.exit_code)
    replies = _replies()
    for line in answers(history, iter(sys.stdin)):
        replies.write(line + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
