"""From which probability on a row is decided 1, given what wrong decisions cost."""

import math

import numpy as np

from flywheel.statistics import Floats
from flywheel.usecase import Costs
from training.evaluation.bootstrap import Bootstrap
from training.evaluation.clusters import cluster
from training.evaluation.comparison import mean_error
from training.evaluation.folds import blocks
from training.evaluation.report import Decision, DecisionOutcome
from training.evaluation.subject import Days

NEVER = math.nextafter(1.0, 2.0)  # above every probability


def choose_threshold(
    label: Floats, prediction: Floats, costs: Costs, day: Days | None = None, *, seed: int = 0
) -> Decision:
    """Choose the threshold on validation rows; label 0/1 and calibrated prediction are (n_rows,).

    For perfect probabilities c_fp / (c_fp + c_fn) is cheapest (Elkan 2001, The Foundations of Cost-Sensitive Learning,
    section 1.2). The cheapest threshold on the rows themselves fits their noise too, so it is used only when it is
    cheaper on blocks of days on which it was not chosen, by more than one standard error.

    Args:
        label: 0 or 1.
        prediction: Probability of 1.
        costs: Of wrong decisions.
        day: Of each row; rows count as independent without it.
        seed: Of the groups of rows where there are too few days.
    """
    both = costs.false_positive + costs.false_negative
    bayes = costs.false_positive / both if both > 0 else 0.5
    cheapest = cheapest_threshold(label, prediction, costs)
    clusters = cluster(np.arange(len(label)) if day is None else day, seed)
    more = row_costs(label, prediction, bayes, costs)
    for fitted, held_out in blocks(clusters):
        chosen = cheapest_threshold(label[fitted], prediction[fitted], costs)
        more[held_out] -= row_costs(label[held_out], prediction[held_out], chosen, costs)
    saved, error = float(more.mean()), mean_error(more, clusters)
    use_cheapest = math.isfinite(error) and saved > error
    threshold = cheapest if use_cheapest else bayes
    figures = f"on days it was not chosen on it saves {saved:.4g} a row, standard error {error:.2g}"
    return Decision(
        threshold=threshold,
        used="cheapest" if use_cheapest else "bayes",
        reason=_reason(use_cheapest, both, figures),
        bayes=bayes,
        bayes_cost=float(row_costs(label, prediction, bayes, costs).mean()),
        cheapest=cheapest,
        cheapest_cost=float(row_costs(label, prediction, cheapest, costs).mean()),
        cost=float(row_costs(label, prediction, threshold, costs).mean()),
        rows=len(label),
    )


def cheapest_threshold(label: Floats, prediction: Floats, costs: Costs) -> float:
    """Return the threshold of least total cost on these rows, halfway between two predictions; the middle of a tie."""
    order = np.argsort(prediction, kind="stable")
    score, positive = prediction[order], label[order]
    # Threshold k lies just below the k-th row: those before it are decided 0, the others 1; the last decides all 0.
    missed = np.concatenate([[0.0], np.cumsum(positive)]) * costs.false_negative
    alarms = ((1 - positive).sum() - np.concatenate([[0.0], np.cumsum(1 - positive)])) * costs.false_positive
    possible = np.flatnonzero(np.concatenate([[True], np.diff(score) > 0, [True]]))
    total = (missed + alarms)[possible]
    best = possible[np.flatnonzero(total <= total.min() + 1e-9)]
    chosen = int(best[len(best) // 2])
    if chosen == 0:
        return 0.0
    if chosen == len(score):
        return NEVER if score[-1] >= 1 else float((score[-1] + 1) / 2)
    return float((score[chosen - 1] + score[chosen]) / 2)


def row_costs(label: Floats, prediction: Floats, threshold: float, costs: Costs) -> Floats:
    """Return what the decision for each row costs, (n_rows,)."""
    decided = prediction >= threshold
    return np.where(decided, (1 - label) * costs.false_positive, label * costs.false_negative)


def decision_outcome(
    label: Floats, prediction: Floats, threshold: float, costs: Costs, bootstrap: Bootstrap
) -> DecisionOutcome:
    """Measure what a threshold leads to on test rows, beside deciding 0 or 1 for all of them."""
    decided, ones = prediction >= threshold, label == 1
    hits = float((decided & ones).sum())
    return DecisionOutcome(
        cost=bootstrap.mean(row_costs(label, prediction, threshold, costs)),
        cost_of_never=float(label.mean()) * costs.false_negative,
        cost_of_always=float((1 - label).mean()) * costs.false_positive,
        decided=float(decided.mean()),
        precision=hits / float(decided.sum()) if decided.any() else None,
        recall=hits / float(ones.sum()) if ones.any() else None,
    )


def _reason(use_cheapest: bool, both: float, figures: str) -> str:
    if both == 0:
        return "Wrong decisions cost nothing, so that any threshold is as good."
    if use_cheapest:
        return f"The cheapest threshold is used, not the Bayes threshold: {figures}."
    return f"The Bayes threshold c_fp / (c_fp + c_fn) is used: the cheapest one is not safely better; {figures}."
