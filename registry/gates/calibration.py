"""Gate: are probabilities true? Where 0.3 is said, it should come true three times in ten."""

import numpy as np

from flywheel.limits import Limits
from flywheel.statistics import Floats
from registry.gates.evidence import Measurement
from registry.gates.gate import Candidate, UnmeasurableError, judged
from registry.gates.sample import Sample, read_evaluation

BINS = 10
RESAMPLES = 500
FEWEST_ROWS = 100


class Calibration:
    """Computes the expected calibration error of the held-out predictions in the package's sample.

    Few rows make perfect probabilities look off, so it fails only when the interval's lower end is above the limit.
    """

    name = "calibration"
    title = "Calibration of probabilities"

    def measure(self, candidate: Candidate, limits: Limits) -> Measurement:
        """Cut the rows into bins; a sample of classes has no probabilities, so there training's figure counts."""
        sample, limit = candidate.sample, limits.calibration_error
        if sample is None:
            raise UnmeasurableError("There are no labelled rows: the version is no package that `mlflow run` made.")
        if sample.task == "regression":
            return judged(True, "The model answers numbers, not probabilities, so there is nothing to calibrate.")
        if sample.task == "multiclass":
            return _recorded(candidate, limit)
        if len(sample.label) < FEWEST_ROWS:
            raise UnmeasurableError(f"{len(sample.label)} labelled rows are too few: {FEWEST_ROWS} are needed.")
        prediction = np.asarray(sample.predicted.to_numpy(), dtype=np.float64)
        value = calibration_error(sample.label, prediction)
        low, high = _interval(sample, prediction)
        return judged(
            limit is None or low <= limit,
            f"Probabilities are off by {value:.3f} on average over {BINS} bins of {len(sample.label)} held-out rows.",
            value=round(value, 5),
            limit=limit,
            low=round(low, 5),
            high=round(high, 5),
            details={"rows": len(sample.label), "bins": BINS, "source": "the sample"},
        )


def _recorded(candidate: Candidate, limit: float | None) -> Measurement:
    value = (read_evaluation(candidate.folder).get("calibration") or {}).get("error_after")
    if not isinstance(value, (int, float)):
        raise UnmeasurableError("Training recorded no calibration error, and the sample has no probabilities.")
    return judged(
        limit is None or value <= limit,
        f"Training measured that the likeliest class's probability is off by {value:.3f} on average.",
        value=float(value),
        limit=limit,
        details={"source": "evaluation.json"},
    )


def calibration_error(label: Floats, prediction: Floats) -> float:
    """Return the expected calibration error, 0 to 1, over bins of equal size (Guo et al. 2017); both (n_rows,)."""
    order = np.argsort(prediction, kind="stable")
    gaps = [abs(float((label[part] - prediction[part]).sum())) for part in np.array_split(order, BINS) if len(part)]
    return sum(gaps) / len(label)


def _interval(sample: Sample, prediction: Floats) -> tuple[float, float]:
    """Resample rows; the error of a resample is biased upwards, so the interval is turned round (basic bootstrap)."""
    random = np.random.default_rng(7)
    value, rows = calibration_error(sample.label, prediction), len(prediction)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = random.integers(0, rows, size=rows)
        drawn.append(calibration_error(sample.label[chosen], prediction[chosen]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return max(0.0, 2 * value - float(high)), max(0.0, 2 * value - float(low))
