"""How a use case is monitored, as `usecase.yaml` says it: windows, drift, and what harm leads to."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flywheel.durations import Duration

RowChoice = Literal["all", "sliding", "weighted", "change_point"]


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Drift(Strict):
    """When a change of inputs, predictions or outcomes is an alarm."""

    block: Duration = Field(
        timedelta(days=1), description="The unit of evidence: rows of one block count as one observation."
    )
    false_alarms_per_year: float = Field(
        1.0, gt=0, le=52, description="At most so many, over all columns and windows of the use case together."
    )
    least_effect: float = Field(
        0.05, ge=0, description="Smaller shifts, in standard deviations of a column's rows, never alarm."
    )
    country: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
        description="Whose public holidays are days of their own: ISO 3166, such as US or DE-BY.",
    )
    exclude: tuple[str, ...] = Field((), description="Columns that are not watched.")


class Harm(Strict):
    """How many windows must show harm before it counts; the newest must be among them."""

    windows: int = Field(2, ge=1, le=20, description="So many …")
    of: int = Field(5, ge=1, le=20, description="… of the last so many.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.windows > self.of:
            raise ValueError(f"{self.windows} of the last {self.of} windows are never harmed; raise `of`")
        return self


class Retrain(Strict):
    """When monitoring starts `mlflow run` by itself."""

    margin: float = Field(
        0.02,
        ge=0,
        description="Rise of the realised loss over the reference that is tolerated: nats of log-loss for classes; for"
        " regression a share of the reference's mean squared error, so that 0.1 tolerates a tenth more.",
    )
    harm: Harm = Field(Harm(), description="Harm starts a training when so many windows show it.")
    max_age: Duration | None = Field(None, description="A champion older than this is trained anew, harm or not.")
    new_labels: int | None = Field(None, ge=1, description="So many labels since the last training start one.")
    cooldown: Duration = Field(timedelta(days=7), description="Least time between two of them.")
    max_per_month: int = Field(4, ge=0, description="Retrainings that may be started within 30 days.")
    max_total: int | None = Field(None, ge=0, description="Retrainings that may be started at all.")
    rows: RowChoice = Field(
        "all",
        description="Which history is trained on: all of it, the last `length`, all of it with rows that weigh half"
        " each `half_life`, or what came after the last change of the loss.",
    )
    length: Duration | None = Field(None, description="For sliding: how much history.")
    half_life: Duration | None = Field(None, description="For weighted: after which time a row weighs half.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.rows == "sliding" and self.length is None:
            raise ValueError("rows: sliding needs `length`, such as 90d")
        if self.rows == "weighted" and self.half_life is None:
            raise ValueError("rows: weighted needs `half_life`, such as 60d")
        return self


class Recalibrate(Strict):
    """How answers may be moved between trainings: one shift of the log-odds, learned from the newest outcomes."""

    most: float = Field(1.0, gt=0, le=4, description="The greatest shift either way, in log-odds.")
    half_life: Duration = Field(
        timedelta(days=2), gt=timedelta(0), description="After which a day's deviation counts half."
    )
    prior_days: float = Field(
        7.0, ge=0, le=365, description="Days without any deviation that are counted along with the known ones."
    )
    lasts: Duration = Field(
        timedelta(days=3),
        gt=timedelta(0),
        description="A shift that no look has renewed for so long fades to 0 within as long again.",
    )


class Alerts(Strict):
    """How often people are told of what monitoring has found; where it goes stands in the operator's hooks.yaml."""

    repeat: Duration = Field(timedelta(days=1), description="What is open and not acknowledged is told again after it.")
    quiet_looks: int = Field(2, ge=1, le=20, description="So many looks in a row that find nothing resolve an alert.")


class Monitor(Strict):
    """Windows and what they lead to."""

    window: Duration = Field(timedelta(days=7), description="How much time is judged at once, and called the newest.")
    window_rows: int | None = Field(
        None, ge=1, description="So many answers are judged at once, instead of those of a `window`."
    )
    every: Duration = Field(timedelta(days=1), description="How often the schedule looks, where it runs.")
    min_outcomes: int = Field(200, ge=1, description="A window with fewer labelled rows decides nothing.")
    slices: tuple[str, ...] = Field((), description="Columns whose parts are judged apart, beside evaluate.slices.")
    drift: Drift = Field(Drift(), description="Alarms within a budget.")
    alerts: Alerts = Field(Alerts(), description="Who is told how often.")
    retrain: Retrain = Field(Retrain(), description="What harm leads to.")
    recalibrate: Recalibrate | None = Field(
        None, description="For binary: answers may be moved between trainings, so far; without it they never are."
    )

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.window_rows is not None and self.window_rows < self.min_outcomes:
            raise ValueError(
                f"windows of {self.window_rows:,} answers never have {self.min_outcomes:,} outcomes; raise"
                " `window_rows` or lower `min_outcomes`"
            )
        return self

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.recalibrate is not None and self.recalibrate.lasts < self.every:
            raise ValueError("recalibrate.lasts is shorter than `every`, so it would fade before each look; raise it")
        return self
