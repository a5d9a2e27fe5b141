"""What models that have not seen a row answer to it: the measure for the answers that a version will give.

The version itself is fitted on all labelled rows, and knows them. So the chosen parameters are fitted twice more, on
the rows of every other week, and each fit is asked about the weeks between (cross-validation; Stone 1974,
Cross-validatory choice and assessment of statistical predictions, JRSS B 36). Answers are corrected as the version's
are. Nothing is measured by them but what is usual, so that a fit may know later rows. Two things differ from the
version: a fit has half of the rows, and the correction was fitted on some that it is asked about.

Every block has to know answers, and every season the fits. A watch over the newest 45 of 90 days' answers has 0.9 to
1.3 false alarms a year, even if they are the version's own to fresh rows, and 0.1 with answers of all days
(benchmarks/drift_answers.py); fits of one season alone are far off in the next (delays at airports in November: 10
minutes instead of 5, which fits of every other week say).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flywheel.statistics import Floats
from training.data.dataset import Dataset, Rows
from training.data.prediction import predict_matrix
from training.packaging.model_code import calibrate
from training.packaging.reference import predicted
from training.prepare import Prepared
from training.search.plan import SearchPlan
from training.search.search import Found
from training.search.trial import fit

WEEK = 7 * 86_400_000_000  # microseconds
HALVES = 2


@dataclass(frozen=True)
class Turn:
    """One fit and the rows that it is asked about, none of which it knows."""

    known: Rows
    asked: Rows


def unseen_answers(
    prepared: Prepared, dataset: Dataset, calibration: Mapping[str, Any], *, plan: SearchPlan, found: Found
) -> pl.DataFrame:
    """Ask about each labelled row a fit that has not seen it.

    Args:
        prepared: Has the rows; of a use case with groups no fit knows the group of a row that it is asked about.
        dataset: The same rows, encoded.
        calibration: Of the version.
        plan: Seed and threads of the fits.
        found: Family and parameters.

    Returns:
        Event time and `prediction`, as it is logged, in order of time: (n_answers, 2). Rows are left out where the
        other half knows one class only, or not all of them.
    """
    split, group = prepared.split, prepared.usecase.data.group
    parts = []
    for turn in turns(dataset, halves(dataset.time, None if group is None else split.rows[group])):
        model = fit(found.family, found.params, dataset, turn.known, seed=plan.seed, threads=plan.threads).model
        raw = predict_matrix(model, turn.asked.take(dataset.matrix), dataset.task)
        logged = predicted(calibrate(raw, dict(calibration)), dataset.task, dataset.classes)
        parts.append(split.frame(turn.asked).select(split.time).with_columns(logged))
    return pl.concat(parts).sort(split.time) if parts else split.rows.head(0).select(split.time, prediction=None)


def halves(time: npt.NDArray[np.int64], groups: pl.Series | None) -> npt.NDArray[np.int64]:
    """Return the half, 0 or 1, that each row belongs to: by weeks in turn, and a group as a whole.

    Args:
        time: (n_rows,) event times in microseconds since 1970.
        groups: Of each row, (n_rows,); a row without one stands for itself.
    """
    half = time // WEEK % HALVES
    if groups is None:
        return half
    place = groups.rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()
    return np.where(place < 0, half, place % HALVES)


def turns(dataset: Dataset, half: npt.NDArray[np.int64]) -> Iterator[Turn]:
    """Yield one fit a half, asked about the other, where it knows enough to answer."""
    for number in range(HALVES):
        known, asked = np.flatnonzero(half != number), np.flatnonzero(half == number)
        if len(asked) and teaches(dataset.label[known], dataset.n_classes):
            count = len(half)
            yield Turn(Rows(0, count, known), Rows(0, count, asked))


def teaches(label: Floats, n_classes: int) -> bool:
    """Say whether a fit on these labels, (n_rows,), could answer: it has seen all `n_classes`, or two numbers."""
    return len(np.unique(label)) >= max(n_classes, 2)
