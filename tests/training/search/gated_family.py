"""A family whose fits a test can hold: each writes a line to GATE/log, then waits as long as GATE/hold exists."""

import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import optuna

from flywheel.usecase import Task
from training.data.dataset import Matrix
from training.families.protocol import FitData, Fitted, Params

PATIENCE = 120  # seconds until a forgotten gate opens by itself


class Constant:
    """Predicts one probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def predict(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        return np.full(len(matrix), self.probability)


class Gated:
    """Knows one parameter, the probability; one above 0.9 makes it raise."""

    name = "gated"
    tasks: frozenset[Task] = frozenset({"binary"})
    flavor = "python_function"

    def defaults(self, task: Task) -> Params:
        return {"p": 0.5}

    def suggest(self, trial: optuna.Trial, task: Task) -> Params:
        return {"p": trial.suggest_float("gated.p", 0.1, 0.95)}

    def fit(self, params: Params, data: FitData) -> Fitted:
        gate = Path(os.environ["GATE"])
        with (gate / "log").open("a") as log:
            log.write(f"{os.getpid()} {params['p']!r}\n")
        deadline = time.monotonic() + PATIENCE
        while (gate / "hold").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if (gate / "interrupt").exists():
            (gate / "interrupt").unlink()
            raise KeyboardInterrupt
        if float(params["p"]) > 0.9:
            raise ValueError("this is too sure\nof itself")
        return Fitted(Constant(float(params["p"])), dict(params))


FAMILY = Gated()
