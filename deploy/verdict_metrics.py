"""The metrics in a plan, by kind: what is fixed before the start, and the metric of the verdict that each builds."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.verdict.clustered import PodErrors, UserErrors
from deploy.verdict.compared import Predictions, Series, Spread, predictions
from deploy.verdict.counted import Errors, ErrorsPlan, Latency, latency
from deploy.verdict.exceedance import split
from deploy.verdict.gates import Margin, expected_counts, margins
from deploy.verdict.means import MeanPlan
from deploy.verdict.plan import planned_counts
from deploy.verdict.schedule import PACE, SPENDING_SHARE, Schedule
from deploy.verdict.signs import SignPlan
from deploy.verdict.units import UnitPlan
from deploy.verdict.valued import Values, ValuesPlan

Part = Annotated[float, Field(gt=0, le=1, description="Part of the plan's alpha.")]
Pace = Annotated[float, Field(gt=0, le=10, description="By a part t of the planned evidence, t^pace may be spent.")]
Spending = Annotated[float, Field(gt=0, lt=1, description="Part that is spent on the plan; the rest is the hedge's.")]
MOST = 1_000_000_000_000  # of anything that is counted; what a float holds exactly
Least = Annotated[int, Field(ge=1, le=MOST, description="Requests to the canary at a step before its gate opens.")]
PlannedErrors = Annotated[float, Field(ge=1, le=MOST, description="Errors of both arms in the whole rollout.")]
PlannedRequests = Annotated[int, Field(ge=1, le=MOST, description="Requests of both arms in the whole rollout.")]


@dataclass(frozen=True)
class Frame:
    """What a plan's metrics have in common: percent of requests that go to the canary by step, and α."""

    steps: tuple[int, ...]
    alpha: float


class Strict(BaseModel):
    """A part of the file: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ErrorsSpec(Strict):
    """Errors of requests."""

    kind: Literal["errors"]
    part: Part | None = Field(None, description="Part of the plan's alpha; without it errors open gates only.")
    margin: float = Field(0.0025, gt=0, lt=1, description="Rise of the error rate that the last step tolerates.")
    ratio: float = Field(1.5, gt=1, le=100, description="Ratio of the error rates that the last step tolerates.")
    planned: PlannedErrors | None = None
    planned_requests: PlannedRequests | None = None
    pace: Pace = PACE
    spending: Spending = SPENDING_SHARE
    opens: bool = True
    least_requests: Least = 1
    ceiling: float = Field(1.0, gt=0, le=1, description="Error rate of the canary above which no gate opens.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.part is None and not self.opens:
            raise ValueError("errors without a part that open no gate decide nothing; give a part")
        return self

    @model_validator(mode="after")
    def _planned_once(self) -> Self:
        if self.planned is not None and self.planned_requests is not None:
            raise ValueError("planned and planned_requests say the same in two units; give one of them")
        return self

    def build(self, frame: Frame) -> Errors:
        """Return the metric before its first look."""
        return Errors(
            ErrorsPlan(
                self.margins(frame),
                (self.part or 0.0) * frame.alpha,
                frame.alpha,
                self._schedule(frame),
                self.opens,
                self.least_requests,
                ceiling=self.ceiling,
                rolls_back=self.part is not None,
            )
        )

    def margins(self, frame: Frame) -> tuple[Margin, ...]:
        """Return what each step tolerates."""
        return margins(frame.steps, Margin(self.ratio, self.margin))

    def _schedule(self, frame: Frame) -> Schedule:
        by_requests = self.planned_requests is not None
        planned = self.planned_requests or self.planned or self._expected(frame)
        return Schedule(planned, by_requests, self.pace, self.spending)

    def _expected(self, frame: Frame) -> float:
        """Errors until the gates open for a healthy canary: then the guard has spent its part."""
        steps = zip(frame.steps, self.margins(frame), strict=True)
        return sum(expected_counts(percent, margin, frame.alpha) for percent, margin in steps)


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
    tolerance: float = Field(1.0, ge=1, le=100, description="Ratio of the parts of slow requests that is no harm.")
    block_seconds: float = Field(
        0.0, ge=0, description="Looks are one piece of evidence until so long, whatever happened in them."
    )

    def build(self, frame: Frame) -> Latency:
        """Return the metric before its first look."""
        levels = split(self.seconds.p90, self.seconds.p99, self.tolerance)
        return latency(levels, self.part * frame.alpha, block=self.block_seconds)


class MeanSpec(Strict):
    """A bounded value of each request: a loss, or a measure of the business such as a reward."""

    kind: Literal["mean"]
    part: Part
    low: float
    high: float
    margin: float = Field(gt=0, description="Change for the worse that is tolerated, in the value's own unit.")
    tolerance: float = Field(0.0, description="Change for the worse beyond which the canary is rolled back.")
    better: Literal["lower", "higher"] = Field("lower", description="Which values are better: lower ones of a loss.")
    opens: bool = True
    least_requests: Least = 1
    name: str = Field("difference", max_length=60, description="Of the differences, for sentences.")

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        self._mean_plan(0.05)
        return self

    def build(self, frame: Frame) -> Values:
        """Return the metric before its first look."""
        sign = 1 if self.better == "lower" else -1
        mean = self._mean_plan(frame.alpha)
        return Values(ValuesPlan(mean, self.part * frame.alpha, sign, self.opens, self.least_requests, self.name))

    def _mean_plan(self, alpha: float) -> MeanPlan:
        reach = self.high - self.low
        return MeanPlan(-reach, reach, self.tolerance, self.margin, alpha)


class UsersSpec(Strict):
    """Errors by user, the split being sticky by user."""

    kind: Literal["users"]
    part: Part
    cap: int = Field(5, ge=1, le=100)
    new_salt: bool = False
    share: float | None = Field(
        None, gt=0, lt=100, description="Percent of both arms' users that are the canary's; by default the step's."
    )
    planned: PlannedErrors | None = None
    pace: Pace = PACE

    def build(self, frame: Frame) -> UserErrors:
        """Return the metric before its first look."""
        steps = frame.steps if self.share is None else (self.share,) * len(frame.steps)
        return UserErrors(steps, _units(self, frame), self.new_salt)


class PodsSpec(Strict):
    """Errors by pod, all pods of equal traffic."""

    kind: Literal["pods"]
    part: Part
    cap: int = Field(10, ge=1, le=100)
    looks: int = Field(10, ge=1, le=1000, description="Summed before pods are compared; more than a spell of trouble.")
    planned: PlannedErrors | None = None
    pace: Pace = PACE

    def build(self, frame: Frame) -> PodErrors:
        """Return the metric before its first look."""
        return PodErrors(_units(self, frame), self.looks)


class SeriesSpec(Strict):
    """Values of two equal-size arms, minute by minute; larger is worse."""

    kind: Literal["series"]
    part: Part
    minutes: int = Field(ge=1, le=MOST, description="Minutes that the rollout is planned to take.")

    def build(self, frame: Frame) -> Series:
        """Return the metric before its first look."""
        return Series(SignPlan(self.minutes, self.part * frame.alpha))


class DispersionSpec(Strict):
    """Whether two series vary alike; it holds, and never rolls back."""

    kind: Literal["dispersion"]
    minutes: int = Field(ge=1, le=MOST, description="Minutes that the rollout is planned to take.")

    def build(self, frame: Frame) -> Spread:
        """Return the metric before its first look."""
        return Spread(SignPlan(self.minutes, frame.alpha))


class ShiftSpec(Strict):
    """Predictions by bin of the champion's; it warns, or holds, and never rolls back."""

    kind: Literal["shift"]
    bins: int = Field(10, ge=2, le=1000)
    holds: bool = False

    def build(self, frame: Frame) -> Predictions:
        """Return the metric before its first look."""
        return predictions(frame.steps, self.bins, frame.alpha, holds=self.holds)


AnyMetric = Annotated[
    ErrorsSpec | LatencySpec | MeanSpec | UsersSpec | PodsSpec | SeriesSpec | DispersionSpec | ShiftSpec,
    Field(discriminator="kind"),
]


def _units(spec: UsersSpec | PodsSpec, frame: Frame) -> UnitPlan:
    return UnitPlan(spec.cap, spec.part * frame.alpha, spec.planned or planned_counts(frame.steps), spec.pace)
