"""What is looked at in a rollout, fixed before its start: plain JSON, so that it can stand in the first event."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flywheel.usecase import Costs, Task

OutputType = Literal["double", "string", "boolean"]


class Strict(BaseModel):
    """A part of the plan: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Bins(Strict):
    """Bins of predictions: between edges for numbers, or classes, each a bin by itself and one for all others."""

    edges: tuple[float, ...] = Field((), description="Rising; an edge belongs to the bin above it.")
    classes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if bool(self.edges) == bool(self.classes):
            raise ValueError("bins have either edges or classes")
        if any(later <= earlier for earlier, later in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"edges {list(self.edges)} must rise")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is named twice")
        return self

    @property
    def count(self) -> int:
        """How many there are: `bins` of the metric's plan."""
        return len(self.edges or self.classes) + 1


class Bounded(Strict):
    """A measure whose values are cut at bounds; larger is worse, and the metric's plan has the same bounds."""

    low: float
    high: float

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        return self


class Loss(Bounded):
    """Loss of an answer whose outcome is known.

    Log-loss in nats for classes. For numbers the squared or absolute error, in units of `spread` (of its square).
    """

    kind: Literal["log_loss", "squared_error", "absolute_error"] = "log_loss"
    spread: float = Field(1.0, gt=0, description="Of the reference's outcomes, in the outcome's unit.")


class Gain(Bounded):
    """What an answer's outcome brought: 0 or 1 for a conversion, a sum for revenue. `low` and `high` bound the gain.

    The verdict takes it as a loss, so negated: the metric's bounds are -high and -low.
    """

    kind: Literal["conversion", "revenue"]


class Decided(Bounded):
    """What an answer's decision cost, by the version's own threshold."""

    kind: Literal["cost"]
    costs: Costs
    thresholds: dict[str, float] = Field({}, description="By version, where its answers hold no `decision`.")


Kpi = Annotated[Gain | Decided, Field(discriminator="kind")]


class EvidencePlan(Strict):
    """What one rollout's evidence is made of; what is left out is not looked at.

    Args:
        champion: Version that the champion's arm is answered by.
        challenger: Version that the challenger's arm, and the shadow, are answered by.
        arm: Its name, of several challengers.
        task: Of the use case.
        outputs: Type by name of what the two versions answer with.
        sticky: The split is by unit: then the unit, else the request, counts once.
        users: Errors by unit.
        bins: Of predictions.
        loss: On outcomes.
        kpi: A business measure on outcomes.
        shadow: Mirrored requests are paired.
        horizon_seconds: An answer without an outcome by then is censored; None: never.
    """

    champion: str
    challenger: str
    arm: str = "challenger"
    task: Task
    outputs: dict[str, OutputType]
    sticky: bool = False
    users: bool = False
    bins: Bins | None = None
    loss: Loss | None = None
    kpi: Kpi | None = None
    shadow: bool = False
    horizon_seconds: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.users and not self.sticky:
            raise ValueError("errors by unit need a split that is sticky by unit")
        if self.value not in self.outputs:
            raise ValueError(f"a {self.task} version answers with '{self.value}', which the outputs do not name")
        if self.loss is not None and (self.loss.kind == "log_loss") == (self.task == "regression"):
            raise ValueError(f"{self.loss.kind} is no loss of a {self.task} version")
        if isinstance(self.kpi, Decided) and self.task != "binary":
            raise ValueError(f"costs need a decision between 0 and 1, which a {self.task} version does not take")
        return self

    @property
    def value(self) -> str:
        """The output that is the prediction."""
        return "probability" if self.task == "binary" else "prediction"

    @property
    def horizon(self) -> timedelta | None:
        """How long an outcome is waited for."""
        return None if self.horizon_seconds is None else timedelta(seconds=self.horizon_seconds)

    @property
    def learns(self) -> bool:
        """Whether outcomes are looked at."""
        return self.loss is not None or self.kpi is not None
