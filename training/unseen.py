"""What models that have not seen a row answer to it: the measure for the answers that a version will give.

The version itself is fitted on all labelled rows, and knows them. So each row is asked of a fit that does not
(cross-validation; Stone 1974, Cross-validatory choice and assessment of statistical predictions, JRSS B 36): rows
behind the last fold's train part of the candidate, which was fitted on that part, and those of the train part of fits
on the other half. All answers are corrected as the version's are. Nothing is measured by them but what is usual, so
that a fit may know later rows.

All blocks have to know answers: a watch that knows those of the newest 45 of 90 days alone has a false alarm more
nearly every year, even where they are the version's own to fresh rows. With answers on all days, by fits of half the
rows, it has none of that (benchmarks/drift_answers.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from flywheel.statistics import Floats
from training.candidate import Candidate
from training.data.dataset import Dataset, Rows
from training.data.prediction import predict_matrix
from training.packaging.model_code import calibrate
from training.packaging.reference import predicted
from training.prepare import Prepared
from training.search.plan import SearchPlan
from training.search.search import Found
from training.search.trial import fit

MOST = 2 / 3  # of the rows may lie before a cut: behind it there is enough to learn from


@dataclass(frozen=True)
class Turn:
    """One fit and the rows that it is asked about, none of which it knows."""

    known: Rows
    asked: Rows


def unseen_answers(
    prepared: Prepared, dataset: Dataset, candidate: Candidate, *, plan: SearchPlan, found: Found
) -> pl.DataFrame:
    """Ask about each labelled row a fit that has not seen it, the candidate or one of two more.

    Left out are rows whose group a fit knows, and those whose fit would know one class only, or not all of them.

    Returns:
        Event time and `prediction`, as it is logged, in order of time: (n_answers, 2).
    """
    split, group = prepared.split, prepared.usecase.data.group
    parts = []
    for turn in turns(dataset, None if group is None else split.rows[group]):
        if turn.known is dataset.folds[-1].train:
            model = candidate.model
        else:
            model = fit(found.family, found.params, dataset, turn.known, seed=plan.seed, threads=plan.threads).model
        raw = predict_matrix(model, turn.asked.take(dataset.matrix), dataset.task)
        logged = predicted(calibrate(raw, candidate.calibration), dataset.task, dataset.classes)
        parts.append(split.frame(turn.asked).select(split.time).with_columns(logged))
    return pl.concat(parts)


def turns(dataset: Dataset, groups: pl.Series | None) -> Iterator[Turn]:
    """Yield who is asked about what, in order of time; the last is the candidate.

    Args:
        dataset: The encoded rows and their folds.
        groups: Of each row, (n_rows,): what a fit must not know of the rows that it is asked about; None: no groups.
    """
    train, count = dataset.folds[-1].train, len(dataset.label)
    cut = train.stop if train.stop <= MOST * count else count // 2
    plan = [(Rows(cut, count), Rows(0, cut)), (Rows(0, cut), Rows(cut, train.stop)), (train, Rows(train.stop, count))]
    for known, stretch in plan:
        asked = strangers(stretch, known, groups)
        if len(asked) and (known is train or teaches(known.take(dataset.label), dataset.n_classes)):
            yield Turn(known, asked)


def strangers(asked: Rows, known: Rows, groups: pl.Series | None) -> Rows:
    """Return those of the rows asked about whose group is not among the known ones; rows without one are strangers."""
    if groups is None or not len(asked):
        return asked
    theirs = groups.slice(asked.start, len(asked))
    seen = known.take(np.arange(len(groups)))
    new = ~theirs.is_in(groups[seen].drop_nulls().unique().implode()).fill_null(value=False)
    return asked if new.all() else Rows(asked.start, asked.stop, asked.start + new.arg_true().cast(pl.Int64).to_numpy())


def teaches(label: Floats, n_classes: int) -> bool:
    """Say whether a fit on these labels, (n_rows,), could answer: for `n_classes` above 0 it must have seen each."""
    return len(np.unique(label)) >= max(n_classes, 2)
