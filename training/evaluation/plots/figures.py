"""All pictures of one evaluation, by file name."""

import numpy as np
from matplotlib.figure import Figure

from training.evaluation.plots.classes import confusion
from training.evaluation.plots.importance import importance, local_plot
from training.evaluation.plots.numbers import residuals
from training.evaluation.plots.parts import robustness_plot, slices_plot, worst_plot
from training.evaluation.plots.ranking import costs_plot, precision_recall, roc
from training.evaluation.plots.reliability import calibration_plot
from training.evaluation.plots.trials import TrialView, optimisation, parallel
from training.evaluation.report import Evaluation
from training.evaluation.subject import Subject
from training.metrics import choose_metric, row_losses


def figures(evaluation: Evaluation, subject: Subject, trials: list[TrialView]) -> dict[str, Figure]:
    """Draw what there is to draw; a picture without content is left out. `trials` are those of the study."""
    metric = choose_metric(subject.task, subject.metric)
    drawn = _predictions(evaluation, subject)
    drawn["importance.png"] = importance(evaluation.explanation, subject.columns, subject.classes)
    drawn["local.png"] = local_plot(evaluation.explanation, subject.classes)
    if evaluation.calibration is not None:
        drawn["calibration.png"] = calibration_plot(evaluation.calibration, subject.prediction)
    if any(part.score.value is not None for part in evaluation.slices):
        drawn["slices.png"] = slices_plot(evaluation.slices, evaluation.scores[subject.metric])
    if evaluation.worst_slices.found:
        loss = float(row_losses(subject.task, subject.label, subject.prediction).mean())
        drawn["worst_slices.png"] = worst_plot(evaluation.worst_slices, loss)
    if any(item.rise.value is not None for item in evaluation.robustness):
        drawn["robustness.png"] = robustness_plot(evaluation.robustness)
    if trials:
        drawn["optimisation.png"] = optimisation(trials, metric.name, less_is_better=metric.less_is_better)
        drawn["parallel.png"] = parallel(trials, metric.name, less_is_better=metric.less_is_better)
    return drawn


def _predictions(evaluation: Evaluation, subject: Subject) -> dict[str, Figure]:
    if subject.task == "regression":
        return {"residuals.png": residuals(subject.label, subject.prediction)}
    if subject.task == "multiclass":
        return {"confusion.png": confusion(subject.label, subject.prediction, subject.classes)}
    if len(np.unique(subject.label)) < 2:  # curves need both
        return {}
    champion = subject.champion.prediction if subject.champion is not None else None
    label, prediction, scores = subject.label, subject.prediction, evaluation.scores
    drawn = {
        "roc.png": roc(label, prediction, scores["roc_auc"], champion),
        "precision_recall.png": precision_recall(label, prediction, scores["average_precision"], champion),
    }
    if subject.evaluate.costs is not None and evaluation.decision is not None:
        drawn["costs.png"] = costs_plot(label, prediction, subject.evaluate.costs, evaluation.decision)
    return drawn
