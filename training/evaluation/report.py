"""What an evaluation found, as `evaluation.json` holds it. Numbers that cannot be computed are null, never NaN."""

import math
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from flywheel.usecase import Task


def _finite(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]


class Finding(BaseModel):
    """A part of the report: frozen, written and read as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Interval(Finding):
    """A figure and its 95 % interval."""

    value: Number
    low: Number = None
    high: Number = None


class Resampling(Finding):
    """How the intervals were made. `unit` is what was drawn: days, or rows where there are too few days."""

    method: str
    resamples: int
    unit: str
    units: int
    note: str = ""


class Comparison(Finding):
    """The model beside another on the same rows; every difference is ours minus theirs.

    `loss` is the mean difference of the rows' losses with an interval from day-clustered standard errors, `p_value` is
    two-sided. `verdict` is better, worse, undecided, or none when `reason` says why they cannot be compared.
    """

    name: str
    verdict: str
    reason: str = ""
    scores: dict[str, Number] = {}
    differences: dict[str, Interval] = {}
    loss: Interval = Interval(value=None)
    loss_error: Number = None
    p_value: Number = None


class Bin(Finding):
    """Rows with alike predictions: their mean prediction, the share (or mean) that came true, and how many they are."""

    predicted: float
    observed: float
    rows: int


class Calibration(Finding):
    """Expected calibration error (0 to 1) on the test rows before and after the correction, and the bins behind it."""

    method: str
    error_before: Number
    error_after: Number
    bins_before: tuple[Bin, ...]
    bins_after: tuple[Bin, ...]


class Decision(Finding):
    """The threshold of decisions: a row is decided 1 when its calibrated probability is at least `threshold`.

    Costs are per row, on the rows that the threshold was chosen on. `bayes` is the threshold that is best for perfect
    probabilities, `cheapest` the one that was cheapest on those rows; `used` names which became `threshold`.
    """

    threshold: float
    used: str
    reason: str
    bayes: float
    bayes_cost: float
    cheapest: float
    cheapest_cost: float
    cost: float
    rows: int


class DecisionOutcome(Finding):
    """What the threshold leads to on the test rows; costs are per row."""

    cost: Interval
    cost_of_never: float
    cost_of_always: float
    decided: float
    precision: Number
    recall: Number


class Slice(Finding):
    """A part of the test rows by one column: its score, and the score's difference to all test rows."""

    column: str
    value: str
    rows: int
    days: int
    metric: str
    score: Interval
    difference: Interval


class WorstSlice(Finding):
    """A part found by search whose loss is higher than that of all rows, beyond what chance and search explain.

    `expected_loss` is the loss that the model itself expects there (the entropy of its probabilities): a slice whose
    loss is close to it is hard, one whose loss lies above it is wrong.
    """

    conditions: tuple[tuple[str, str], ...]
    rows: int
    share: float
    loss: float
    difference: Interval
    p_adjusted: float
    expected_loss: Number = None

    @property
    def name(self) -> str:
        """Say which rows, in words."""
        return " and ".join(f"{column} is {value}" for column, value in self.conditions)


class SliceSearch(Finding):
    """What was searched, and the worst slices, worst first; empty when nothing stood out."""

    tested: int
    min_rows: int
    method: str
    found: tuple[WorstSlice, ...]


class Disturbance(Finding):
    """What happens when one input is disturbed in every row: missing, noise, or a category never seen.

    `rise` is by how much the mean loss rises; `fault` says what the model's path raised instead of answering.
    """

    column: str
    kind: str
    rows: int
    loss: Number
    rise: Interval
    fault: str = ""


class Example(Finding):
    """A row that does not behave: its raw inputs, and the prediction before and after the change."""

    inputs: dict[str, str]
    before: float
    after: float


class BehaviourResult(Finding):
    """What a behavioural test found; `passed` is null when no row could be changed."""

    name: str
    description: str
    rows: int
    share: Number
    least_share: float
    moved: Number
    passed: bool | None
    examples: tuple[Example, ...]


class Importance(Finding):
    """Mean absolute contribution of one feature to the model's output; by class for multiclass."""

    feature: str
    value: float
    by_class: tuple[float, ...] = ()


class Contribution(Finding):
    """What one feature adds to one row's output."""

    feature: str
    value: str
    amount: float


class LocalExplanation(Finding):
    """Why one row got its prediction: base + contributions + others = output, in the explanation's unit.

    Of several classes the likeliest is explained, `of_class`; `prediction` is its probability.
    """

    row: int
    kind: str
    of_class: str = ""
    label: float
    prediction: float
    output: float
    base: float
    contributions: tuple[Contribution, ...]
    others: float


class Beeswarm(Finding):
    """Contributions row by row for the picture: values and contributions, both (n_rows, n_features)."""

    features: tuple[str, ...]
    values: npt.NDArray[np.float64]
    contributions: npt.NDArray[np.float64]


class Explanation(Finding):
    """SHAP values of the model before calibration. `unit` is what contributions add up in."""

    method: str
    unit: str
    rows: int
    importances: tuple[Importance, ...]
    local: tuple[LocalExplanation, ...]
    beeswarm: Beeswarm | None = Field(None, exclude=True, description="In memory only: for the picture.")


class Evaluation(Finding):
    """All that is known of how good a model is, on `rows` test rows of `days` days."""

    task: Task
    metric: str
    classes: tuple[str, ...]
    rows: int
    days: int
    resampling: Resampling
    scores: dict[str, Interval]
    validation_scores: dict[str, Number]
    baseline: Comparison
    champion: Comparison | None
    calibration: Calibration | None
    decision: Decision | None
    decision_outcome: DecisionOutcome | None
    slices: tuple[Slice, ...]
    worst_slices: SliceSearch
    robustness: tuple[Disturbance, ...]
    behaviours: tuple[BehaviourResult, ...]
    explanation: Explanation
    seconds: dict[str, float] = Field({}, exclude=True, description="What each part took; not in the document.")

    def document(self) -> dict[str, Any]:
        """Return what `evaluation.json` holds."""
        return self.model_dump(mode="json")

    def metrics(self) -> dict[str, float]:
        """Return the figures by the names under which MLflow shows them; what cannot be computed is left out."""
        found: dict[str, float | None] = {"test_rows": self.rows, "test_days": self.days}
        for name, score in self.scores.items():
            found |= {f"test_{name}": score.value, f"test_{name}_low": score.low, f"test_{name}_high": score.high}
            found[f"baseline_{name}"] = self.baseline.scores.get(name)
        found |= {f"validation_{name}": value for name, value in self.validation_scores.items()}
        found |= self._comparison_metrics()
        if self.calibration is not None:
            found["test_calibration_error"] = self.calibration.error_after
            found["test_uncalibrated_calibration_error"] = self.calibration.error_before
        if self.decision is not None and self.decision_outcome is not None:
            found["threshold"] = self.decision.threshold
            found["test_cost"] = self.decision_outcome.cost.value
        found["worst_slices"] = len(self.worst_slices.found)
        if self.behaviours:
            found["behaviours_failed"] = sum(result.passed is False for result in self.behaviours)
        return {name: float(value) for name, value in found.items() if value is not None}

    def _comparison_metrics(self) -> dict[str, float | None]:
        found: dict[str, float | None] = {"test_loss_over_baseline": self.baseline.loss.value}
        if self.champion is not None:
            found["test_loss_over_champion"] = self.champion.loss.value
            found["test_loss_over_champion_low"] = self.champion.loss.low
            found["test_loss_over_champion_high"] = self.champion.loss.high
        return found
