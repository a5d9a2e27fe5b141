"""The plan of a rollout as a document: steps, α, metrics; what was fixed before the start, so that looks replay."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from deploy.verdict.readings import Metric
from deploy.verdict_metrics import AnyMetric, ErrorsSpec, Frame, LatencySpec, MeanSpec, Strict, Thresholds
from flywheel.rollout_spec import PARTS

LOSS_MARGIN = 0.02  # of the loss's range; it is used where a loss opens gates


class PlanSpec(Strict):
    """What was fixed before the start."""

    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = Field(min_length=1, strict=False)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    metrics: dict[str, AnyMetric] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps {list(self.steps)} must rise")
        parts = sum(getattr(metric, "part", None) or 0.0 for metric in self.metrics.values())
        if parts > 1 + 1e-9:
            raise ValueError(f"the metrics' parts of alpha sum to {parts:g}; they must not exceed 1")
        return self

    @property
    def frame(self) -> Frame:
        """What the metrics have in common."""
        return Frame(self.steps, self.alpha)

    def build(self) -> dict[str, Metric]:
        """Return the metrics before their first look."""
        return {name: metric.build(self.frame) for name, metric in self.metrics.items()}


def default_metrics(
    thresholds: Thresholds | None, loss: tuple[float, float] | None, *, planned_requests: int | None = None
) -> dict[str, AnyMetric]:
    """Return the guards of a rollout that says nothing else, each with its part of α.

    Errors open the gates; a loss, whose outcomes may come late or never, only rolls back.

    Args:
        thresholds: The champion's p90 and p99; without them nobody judges latency.
        loss: The loss's lowest and highest value; without them nobody judges it.
        planned_requests: Requests of both arms in the whole rollout, where that is known.
    """
    there = {"errors": True, "latency": thresholds is not None, "loss": loss is not None}
    whole = math.fsum(PARTS[name] for name, is_there in there.items() if is_there)
    parts = {name: part / whole for name, part in PARTS.items()}
    metrics: dict[str, AnyMetric] = {
        "errors": ErrorsSpec(kind="errors", part=parts["errors"], planned_requests=planned_requests)
    }
    if thresholds is not None:
        metrics["latency"] = LatencySpec(kind="latency", part=parts["latency"], seconds=thresholds)
    if loss is not None:
        low, high = loss
        margin = LOSS_MARGIN * (high - low)
        metrics["loss"] = MeanSpec(kind="mean", part=parts["loss"], low=low, high=high, margin=margin, opens=False)
    return metrics
