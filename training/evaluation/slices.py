"""Parts of the test rows that the use case names, each with its own score."""

import numpy as np

from training.evaluation.bootstrap import Bootstrap, Scores
from training.evaluation.partition import choose_column, partition
from training.evaluation.report import Slice
from training.evaluation.subject import Subject


def score_slices(subject: Subject, bootstrap: Bootstrap, whole: Scores) -> tuple[Slice, ...]:
    """Score every part of every column that the use case names; the differences are to all rows, same resamples."""
    return tuple(
        found for column in subject.evaluate.slices for found in _score_column(column, subject, bootstrap, whole)
    )


def _score_column(column: str, subject: Subject, bootstrap: Bootstrap, whole: Scores) -> list[Slice]:
    parts = partition(choose_column(column, subject.inputs, subject.features))
    found = []
    for code, name in enumerate(parts.names):
        rows = np.flatnonzero(parts.code == code)
        scores = bootstrap.part(rows).scores(
            subject.task, subject.label[rows], subject.prediction[rows], only=(subject.metric,)
        )
        found.append(
            Slice(
                column=column,
                value=name,
                rows=len(rows),
                days=len(np.unique(subject.day[rows])),
                metric=subject.metric,
                score=scores.interval(subject.metric),
                difference=scores.difference(subject.metric, whole),
            )
        )
    return found
