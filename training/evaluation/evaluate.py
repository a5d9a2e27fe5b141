"""The whole evaluation of one model: every part on the same test rows and the same resamples of their days."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from flywheel.statistics import SMALLEST_PROBABILITY, Floats
from flywheel.usecase import Task
from training.evaluation.baseline import NAMES, baseline_prediction
from training.evaluation.behaviours import run_behaviours
from training.evaluation.bootstrap import Bootstrap, Scores, draw
from training.evaluation.calibration import measure_calibration
from training.evaluation.clusters import cluster
from training.evaluation.comparison import compare, incomparable
from training.evaluation.explanation import explain
from training.evaluation.partition import Partition, partition
from training.evaluation.report import Calibration, Comparison, Decision, DecisionOutcome, Evaluation, SliceSearch
from training.evaluation.robustness import disturb
from training.evaluation.slices import score_slices
from training.evaluation.subject import Subject
from training.evaluation.threshold import choose_threshold, decision_outcome
from training.evaluation.worst import find_worst
from training.metrics import METRICS, row_losses
from training.packaging.model_code import predict_matrix

MOST_SEARCHED_ROWS = 50_000
SEARCHED_BINS, SEARCHED_CATEGORIES = 4, 12


@dataclass
class _Watch:
    """How long each part took, in seconds."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = self.clock()
        yield
        self.seconds[name] = self.clock() - started


def evaluate(subject: Subject, *, clock: Callable[[], float] = time.perf_counter) -> Evaluation:
    """Measure everything that the report holds; takes about ten seconds for 20,000 rows of 20 features.

    Args:
        subject: The model, its test rows, and what the use case wants; `check_wishes` has passed.
        clock: Seconds, for what is as thorough as time allows and for `seconds`.
    """
    watch = _Watch(clock)
    with watch.part("scores"):
        bootstrap = draw(cluster(subject.day, subject.seed), subject.evaluate.bootstrap, subject.seed)
        scores = bootstrap.scores(subject.task, subject.label, subject.prediction)
    with watch.part("comparisons"):
        baseline = _baseline(subject, bootstrap, scores)
        champion = _champion(subject, bootstrap, scores)
    with watch.part("calibration and threshold"):
        calibration = _calibration(subject)
        decision, outcome = _decision(subject, bootstrap)
    with watch.part("slices"):
        slices = score_slices(subject, bootstrap, scores)
    with watch.part("worst slices"):
        worst = _worst(subject)
    with watch.part("robustness"):
        robustness = disturb(subject, bootstrap)
    with watch.part("behaviours"):
        behaviours = run_behaviours(subject)
    with watch.part("explanation"):
        explanation = explain(subject, clock=clock)
    return Evaluation(
        task=subject.task,
        metric=subject.metric,
        classes=subject.classes,
        rows=len(subject.label),
        days=len(np.unique(subject.day)),
        resampling=bootstrap.describe(),
        scores={name: scores.interval(name) for name in scores.value},
        validation_scores={
            metric.name: metric.measure(subject.validation_label, subject.validation_prediction)
            for metric in METRICS[subject.task]
        },
        baseline=baseline,
        champion=champion,
        calibration=calibration,
        decision=decision,
        decision_outcome=outcome,
        slices=slices,
        worst_slices=worst,
        robustness=robustness,
        behaviours=behaviours,
        explanation=explanation,
        seconds=watch.seconds,
    )


def expected_losses(task: Task, prediction: Floats) -> Floats | None:
    """Return the loss that the model itself expects of each row, (n_rows,): the entropy of its probabilities.

    Regression predicts no distribution, and so expects nothing.
    """
    if task == "regression":
        return None
    shares = np.column_stack([1 - prediction, prediction]) if task == "binary" else prediction
    safe = np.clip(shares, SMALLEST_PROBABILITY, 1)
    return np.asarray(-(safe * np.log(safe)).sum(axis=1))


def _baseline(subject: Subject, bootstrap: Bootstrap, scores: Scores) -> Comparison:
    trivial = baseline_prediction(subject.task, subject.baseline_label, len(subject.classes), rows=len(subject.label))
    return _compare(NAMES[subject.task], trivial, subject, bootstrap, scores)


def _champion(subject: Subject, bootstrap: Bootstrap, scores: Scores) -> Comparison | None:
    if subject.champion is None:
        return None
    if subject.champion.prediction is None:
        return incomparable(subject.champion.name, subject.champion.reason)
    return _compare(subject.champion.name, subject.champion.prediction, subject, bootstrap, scores)


def _compare(name: str, theirs: Floats, subject: Subject, bootstrap: Bootstrap, scores: Scores) -> Comparison:
    return compare(
        name,
        subject.task,
        subject.label,
        subject.prediction,
        theirs,
        clusters=bootstrap.clusters,
        scores=scores,
        other=bootstrap.scores(subject.task, subject.label, theirs),
    )


def _calibration(subject: Subject) -> Calibration | None:
    if subject.task == "regression":
        return None
    before = predict_matrix(subject.model, subject.matrix, subject.task)
    return measure_calibration(subject.task, subject.label, before, subject.prediction, subject.calibration)


def _decision(subject: Subject, bootstrap: Bootstrap) -> tuple[Decision | None, DecisionOutcome | None]:
    costs = subject.evaluate.costs
    if costs is None:
        return None, None
    decision = choose_threshold(
        subject.validation_label, subject.validation_prediction, costs, subject.validation_day, seed=subject.seed
    )
    return decision, decision_outcome(subject.label, subject.prediction, decision.threshold, costs, bootstrap)


def _worst(subject: Subject) -> SliceSearch:
    """Search inputs and features, each column once; of very many rows a sample says as much and takes less."""
    random = np.random.default_rng(subject.seed)
    rows = np.sort(random.permutation(len(subject.label))[:MOST_SEARCHED_ROWS])
    expected = expected_losses(subject.task, subject.prediction[rows])
    return find_worst(
        _searched(subject, rows),
        row_losses(subject.task, subject.label[rows], subject.prediction[rows]),
        cluster(subject.day[rows], subject.seed),
        most=subject.evaluate.worst_slices,
        expected=expected,
    )


def _searched(subject: Subject, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Partition]:
    """Cut the rows by every column but the event time, whose parts are days; columns that cut alike count once."""
    columns = [column for column in subject.inputs[rows] if column.name != subject.event_time]
    columns += [column for column in subject.features[rows] if column.name not in subject.inputs.columns]
    found: dict[bytes, Partition] = {}
    for column in columns:
        parts = partition(column, bins=SEARCHED_BINS, most=SEARCHED_CATEGORIES)
        if len(parts.names) > 1:
            found.setdefault(parts.code.tobytes(), parts)
    return list(found.values())
