"""The plan of an experiment, as experiment.yaml says it: fixed before the start, so that nothing in it follows data."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from deploy.experiments.measures import HAS_HISTORY, Column, Covariate, Guardrail, Measure, Metric, Strict
from deploy.experiments.sequence import Boundary
from flywheel.durations import Duration

Share = Annotated[float, Field(gt=0, lt=100)]
# Without a plan of its own, the interval is narrowest at so many times the least number of units.
PLANNED_TIMES = 10


class Expected(Strict):
    """What a unit of the control is expected to measure; only `flywheel experiment plan` uses it."""

    mean: float = Field(description="Mean of the metric.")
    deviation: float | None = Field(
        None, gt=0, description="Its standard deviation by unit; of a conversion it follows from the mean."
    )
    correlation: float = Field(0.0, gt=-1, lt=1, description="Correlation of the metric and the covariate.")


class Serving(Strict):
    """What it costs to serve, over what the control costs."""

    replicas: float = Field(1.0, ge=0, description="Replicas more than the control has.")
    per_hour: float = Field(ge=0, description="Cost of one replica in an hour.")


class Training(Strict):
    """What it costs to train, over what the control costs."""

    runs_per_month: float = Field(ge=0, description="Runs more than the control has.")
    per_run: float = Field(ge=0, description="Cost of one run.")


class Return(Strict):
    """What the gain is worth, and what it costs."""

    units_per_month: float = Field(gt=0, description="Units that the winner would serve in a month.")
    worth: float = Field(1.0, gt=0, description="Money for one unit of the metric; 1 where the metric is money.")
    currency: str = Field("EUR", min_length=1, max_length=8, description="Its name in the report.")
    serving: Serving | None = Field(None, description="None: as the control.")
    training: Training | None = Field(None, description="None: as the control.")
    once: float = Field(0.0, ge=0, description="What was spent once, and is to be paid back.")


class Experiment(Strict):
    """An A/B/n test; percentages of units, sticky by unit."""

    name: str = Field(min_length=1, max_length=100, description="Its name in the report.")
    metric: Metric = Field(description="What decides.")
    shares: dict[str, Share] = Field(
        min_length=2, max_length=20, description="Percent of units by arm; they sum to 100."
    )
    control: str = Field(description="The arm that the others are compared with.")
    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="Probability of a wrong word on the metric, over all arms and looks."
    )
    guardrail_alpha: float = Field(0.05, gt=0, lt=0.5, description="The same of all guardrails together.")
    ratio_alpha: float = Field(0.01, gt=0, lt=0.5, description="The same of the check of the shares.")
    guardrails: dict[str, Guardrail] = Field({}, max_length=20, description="What must not become worse, by name.")
    covariate: Covariate | None = Field(None, description="Narrows the interval by what was known before the start.")
    minimum_units: int = Field(500, ge=20, description="Nothing is said before each arm has so many units.")
    planned_units: int | None = Field(
        None,
        ge=40,
        description="Units of all arms at which the interval is to be narrowest; by default ten times the least.",
    )
    maximum_days: float | None = Field(None, gt=0, description="After so many days it asks for a decision.")
    usecase: str | None = Field(None, description="From the log: whose predictions.")
    versions: dict[str, Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]] = Field(
        {}, max_length=19, description="Version by challenger, for `flywheel experiment start`."
    )
    rollout: str | None = Field(None, description="From the log: only this rollout's predictions.")
    start: datetime | None = Field(None, description="From the log: when the experiment began (UTC).")
    window: Duration = Field(
        timedelta(days=7), description="From the log: a unit is measured for so long after its first request."
    )
    settle: Duration = Field(
        timedelta(0), description="From the log: outcomes that are known within so long after the window count."
    )
    expected: Expected | None = Field(None, description="For the plan's power.")
    returns: Return | None = Field(None, alias="return", description="What the gain is worth, and what it costs.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        total = sum(self.shares.values())
        if abs(total - 100) > 1e-6:
            raise ValueError(f"shares sum to {total:g}; they must sum to 100")
        if self.control not in self.shares:
            raise ValueError(f"control '{self.control}' is no arm; the arms are {', '.join(self.shares)}")
        if self.metric.name in self.guardrails:
            raise ValueError(f"'{self.metric.name}' is the metric and a guardrail; give one another name")
        if self.covariate is not None and self.metric.measure.kind not in HAS_HISTORY:
            raise ValueError(f"a covariate is for {', '.join(HAS_HISTORY)}; {self.metric.measure.kind} has none")
        return self

    @property
    def challengers(self) -> tuple[str, ...]:
        """All other arms."""
        return tuple(arm for arm in self.shares if arm != self.control)

    @property
    def planned(self) -> float:
        """Units of all arms at which the interval is to be narrowest."""
        return self.planned_units or PLANNED_TIMES * self.minimum_units * len(self.shares)

    @property
    def begin(self) -> datetime | None:
        """When it began, in naive UTC."""
        return (
            self.start
            if self.start is None or self.start.tzinfo is None
            else self.start.astimezone(UTC).replace(tzinfo=None)
        )

    def columns(self) -> dict[str, Column]:
        """Where a table has the metric and the guardrails, by their names."""
        others = {name: guardrail.column or name for name, guardrail in self.guardrails.items()}
        return {self.metric.name: self.metric.column, **others}

    def measures(self) -> dict[str, Measure]:
        """What is measured, by name: the metric first, then the guardrails."""
        return {self.metric.name: self.metric.measure, **{name: one.measure for name, one in self.guardrails.items()}}

    def boundary(self, arm: str) -> Boundary:
        """Return the metric's boundary for an arm; alpha is split evenly over the comparisons (Bonferroni)."""
        return Boundary(self.alpha / len(self.challengers), self.units_of(arm))

    def guardrail_boundary(self, arm: str) -> Boundary:
        """Return the boundary of one guardrail for an arm."""
        return Boundary(self.guardrail_alpha / (len(self.challengers) * len(self.guardrails)), self.units_of(arm))

    def units_of(self, arm: str) -> float:
        """Return the planned units of an arm and the control."""
        return self.planned * (self.shares[arm] + self.shares[self.control]) / 100
