"""What is measured of a unit, as experiment.yaml says it."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flywheel.durations import Duration

Column = Annotated[str, Field(min_length=1, max_length=100)]
Direction = Literal["increase", "decrease"]


class Strict(BaseModel):
    """A part of the file: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, populate_by_name=True)


class Conversion(Strict):
    """0 or 1 by unit; of several rows of a unit the largest counts."""

    kind: Literal["conversion"] = "conversion"


class Revenue(Strict):
    """A number by unit, its rows added up, and cut at a cap so that no single unit decides."""

    kind: Literal["revenue"] = "revenue"
    cap: float = Field(gt=0, description="A unit counts as at most this much, and at least as its negative.")


class Cost(Strict):
    """What decisions cost, added up by unit. In a table the column holds the cost itself.

    From the log: a prediction of at least the threshold is the decision 1, and the outcome says what would have been
    right.
    """

    kind: Literal["cost"] = "cost"
    threshold: float = Field(0.5, description="A prediction of at least this is the decision 1.")
    true_positive: float = Field(0.0, description="Cost of decision 1 where the outcome is 1.")
    false_positive: float = Field(1.0, description="Cost of decision 1 where the outcome is 0.")
    false_negative: float = Field(1.0, description="Cost of decision 0 where the outcome is 1.")
    true_negative: float = Field(0.0, description="Cost of decision 0 where the outcome is 0.")


class Latency(Strict):
    """Mean latency of a unit's requests, in milliseconds."""

    kind: Literal["latency"] = "latency"
    cap: float = Field(60_000.0, gt=0, description="A request counts as at most so many milliseconds.")


class Failures(Strict):
    """Share of a unit's requests that got no prediction."""

    kind: Literal["failures"] = "failures"


Measure = Annotated[Conversion | Revenue | Cost | Latency | Failures, Field(discriminator="kind")]
# These are outcomes of the unit; what it was not seen to do before the experiment is 0.
HAS_HISTORY = ("conversion", "revenue", "cost")


class Metric(Strict):
    """The measure that decides."""

    name: str = Field(min_length=1, max_length=100, description="Its name in the report.")
    measure: Measure = Field(Conversion(), description="What is measured of a unit.")
    direction: Direction = Field("increase", description="Which way is better.")
    margin: float = Field(0.0, ge=0, description="Smallest gain by unit that is worth having; 0: any.")
    column: Column = Field("value", description="Where a table has it.")


class Guardrail(Strict):
    """A measure that must not become worse by the margin."""

    measure: Measure = Field(description="What is measured of a unit.")
    direction: Direction = Field("decrease", description="Which way is better.")
    margin: float = Field(gt=0, description="How much worse by unit it may be.")
    column: Column | None = Field(None, description="Where a table has it; its name by default.")


class Covariate(Strict):
    """What was known of a unit before it was assigned."""

    column: Column = Field("covariate", description="Where a table has it.")
    before: Duration = Field(
        timedelta(days=28), description="From the log: the metric's measure over so long before the start."
    )

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.before <= timedelta(0):
            raise ValueError("before must be a duration above 0, such as 28d")
        return self
