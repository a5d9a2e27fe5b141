"""One line on how good a version is, for the end of a training."""

from training.evaluation.report import Evaluation


def summary(evaluation: Evaluation) -> str:
    """Say the metric with its interval, and how it stands to the baseline and the champion."""
    score = evaluation.scores[evaluation.metric]
    interval = f"{score.value:.4f} (95 % {score.low:.4f} to {score.high:.4f})"
    said = f"{evaluation.metric} {interval} on {evaluation.rows:,} later rows"
    for other in (evaluation.baseline, evaluation.champion):
        if other is not None:
            said += f", {other.verdict} against {other.name}"
    return said
