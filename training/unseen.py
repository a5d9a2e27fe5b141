"""What models that have not seen a row answer to it: the measure for the answers that a version will give.

The version itself is fitted on all labelled rows, and knows them. But each fold's fit knows nothing behind its train
part, so that it can be asked there: about the gap in which labels became known, its validation, and, the last of
them, the gap behind it and the test. All answers are corrected as the version's are.

Two things differ from the version. A fold's fit has fewer rows, those of early folds fewest; and the last validation
is what the correction was fitted on. What that does to a watch over drift: benchmarks/README.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from training.candidate import Candidate
from training.data.dataset import Dataset, Fold, Rows
from training.data.prediction import predict_matrix
from training.packaging.model_code import calibrate
from training.packaging.reference import predicted
from training.prepare import Prepared
from training.search.plan import SearchPlan
from training.search.search import Found
from training.search.trial import fit


def unseen_answers(
    prepared: Prepared, dataset: Dataset, candidate: Candidate, *, plan: SearchPlan, found: Found
) -> pl.DataFrame:
    """Ask each fold's fit about rows that it has not seen; fits all folds but the last, which `candidate` is.

    Returns:
        Event time and `prediction`, as it is logged, in order of time: (n_rows, 2).
    """
    asked = asked_rows(dataset.folds, dataset.test, grouped=prepared.usecase.data.group is not None)
    parts = []
    for rows, model in zip(asked, _models(dataset, candidate, plan, found), strict=True):
        raw = predict_matrix(model, rows.take(dataset.matrix), dataset.task)
        logged = predicted(calibrate(raw, candidate.calibration), dataset.task, dataset.classes)
        parts.append(prepared.split.frame(rows).select(prepared.split.time).with_columns(logged))
    return pl.concat(parts)


def asked_rows(folds: Sequence[Fold], test: Rows, *, grouped: bool) -> list[Rows]:
    """Return, fold by fold, the rows that its fit is asked about: no row twice.

    Args:
        folds: From the earliest to the last.
        test: Behind all of them.
        grouped: Whether rows belong to groups, of which a fit must not know one that it is asked about: then the gaps
            are left out, since a fold's train part was freed from the groups of its validation and the test alone.
    """
    if grouped:
        *early, last = (fold.validation for fold in folds)
        places = np.concatenate([_places(last), _places(test)])
        return [*early, Rows(last.start, test.stop, places)]
    starts = [folds[0].train.stop, *(fold.validation.start for fold in folds[1:])]
    return [Rows(start, stop) for start, stop in zip(starts, [*starts[1:], test.stop], strict=True)]


def _models(dataset: Dataset, candidate: Candidate, plan: SearchPlan, found: Found) -> Iterator[Any]:
    for fold in dataset.folds[:-1]:
        yield fit(found.family, found.params, dataset, fold.train, seed=plan.seed, threads=plan.threads).model
    yield candidate.model


def _places(rows: Rows) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.arange(rows.start, rows.stop) if rows.chosen is None else rows.chosen
