"""The plan in a file for `flywheel verdict`: its metrics by kind, and the metric of the verdict that each builds."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.verdict.clustered import PodErrors, UserErrors
from deploy.verdict.compared import Predictions, Series, Spread, predictions
from deploy.verdict.counted import Errors, Latency, latency
from deploy.verdict.exceedance import split
from deploy.verdict.means import MeanPlan
from deploy.verdict.plan import planned_counts
from deploy.verdict.readings import Metric
from deploy.verdict.signs import SignPlan
from deploy.verdict.units import UnitPlan
from deploy.verdict.valued import Values

Part = Annotated[float, Field(gt=0, le=1, description="Part of the plan's alpha.")]


class Strict(BaseModel):
    """A part of the file: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ErrorsSpec(Strict):
    """Errors of requests."""

    kind: Literal["errors"]
    part: Part
    margin: float = Field(0.01, gt=0, lt=1)
    planned: float | None = Field(None, ge=1, description="Errors of both arms that the whole rollout will see.")

    def build(self, plan: "PlanSpec") -> Errors:
        """Return the metric before its first look."""
        planned = self.planned or planned_counts(plan.steps)
        return Errors(plan.steps, self.margin, self.part * plan.alpha, plan.alpha, planned)


class Thresholds(Strict):
    """The champion's p90 and p99, in seconds."""

    p90: float = Field(gt=0)
    p99: float = Field(gt=0)

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if self.p90 >= self.p99:
            raise ValueError(f"p90 {self.p90:g} must be below p99 {self.p99:g}")
        return self


class LatencySpec(Strict):
    """Requests over the champion's p90 and p99."""

    kind: Literal["latency"]
    part: Part
    seconds: Thresholds

    def build(self, plan: "PlanSpec") -> Latency:
        """Return the metric before its first look."""
        return latency(plan.steps, split(self.seconds.p90, self.seconds.p99), self.part * plan.alpha)


class MeanSpec(Strict):
    """A bounded value of each request, such as a loss; larger is worse."""

    kind: Literal["mean"]
    part: Part
    low: float
    high: float
    margin: float = Field(gt=0)
    tolerance: float = Field(0.0)

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        self._mean_plan(0.05)
        return self

    def build(self, plan: "PlanSpec") -> Values:
        """Return the metric before its first look."""
        return Values(self._mean_plan(plan.alpha), self.part * plan.alpha)

    def _mean_plan(self, alpha: float) -> MeanPlan:
        reach = self.high - self.low
        return MeanPlan(-reach, reach, self.tolerance, self.margin, alpha)


class UsersSpec(Strict):
    """Errors by user, the split being sticky by user."""

    kind: Literal["users"]
    part: Part
    cap: int = Field(5, ge=1, le=100)
    new_salt: bool = False

    def build(self, plan: "PlanSpec") -> UserErrors:
        """Return the metric before its first look."""
        return UserErrors(plan.steps, _units(self.cap, self.part, plan), self.new_salt)


class PodsSpec(Strict):
    """Errors by pod, all pods of equal traffic."""

    kind: Literal["pods"]
    part: Part
    cap: int = Field(10, ge=1, le=100)

    def build(self, plan: "PlanSpec") -> PodErrors:
        """Return the metric before its first look."""
        return PodErrors(_units(self.cap, self.part, plan))


class SeriesSpec(Strict):
    """Values of two equal-size arms, minute by minute; larger is worse."""

    kind: Literal["series"]
    part: Part
    minutes: int = Field(ge=1, description="Minutes that the rollout is planned to take.")

    def build(self, plan: "PlanSpec") -> Series:
        """Return the metric before its first look."""
        return Series(SignPlan(self.minutes, self.part * plan.alpha))


class DispersionSpec(Strict):
    """Whether two series vary alike; it holds, and never rolls back."""

    kind: Literal["dispersion"]
    minutes: int = Field(ge=1, description="Minutes that the rollout is planned to take.")

    def build(self, plan: "PlanSpec") -> Spread:
        """Return the metric before its first look."""
        return Spread(SignPlan(self.minutes, plan.alpha))


class ShiftSpec(Strict):
    """Predictions by bin of the champion's; it warns, or holds, and never rolls back."""

    kind: Literal["shift"]
    bins: int = Field(10, ge=2, le=1000)
    holds: bool = False

    def build(self, plan: "PlanSpec") -> Predictions:
        """Return the metric before its first look."""
        return predictions(plan.steps, self.bins, plan.alpha, holds=self.holds)


AnyMetric = Annotated[
    ErrorsSpec | LatencySpec | MeanSpec | UsersSpec | PodsSpec | SeriesSpec | DispersionSpec | ShiftSpec,
    Field(discriminator="kind"),
]


class PlanSpec(Strict):
    """What was fixed before the start."""

    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = Field(min_length=1, strict=False)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    metrics: dict[str, AnyMetric] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps {list(self.steps)} must rise")
        parts = sum(getattr(metric, "part", 0.0) for metric in self.metrics.values())
        if parts > 1 + 1e-9:
            raise ValueError(f"the metrics' parts of alpha sum to {parts:g}; they must not exceed 1")
        return self

    def build(self) -> dict[str, Metric]:
        """Return the metrics before their first look."""
        return {name: metric.build(self) for name, metric in self.metrics.items()}


def _units(cap: int, part: float, plan: PlanSpec) -> UnitPlan:
    return UnitPlan(cap, part * plan.alpha, planned_counts(plan.steps))
