"""How a new version takes over, as `usecase.yaml` says it: the way through traffic, and what guards it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flywheel.durations import Duration
from flywheel.freeze import Day, Freeze, Hours

Percent = Annotated[int, Field(ge=1, le=99)]
GuardName = Literal["errors", "latency", "loss", "kpi", "prediction_shift"]
HealName = Literal["errors", "latency", "loss"]
# Parts of alpha: errors get most, for they are the rarest and harm at once. Those of guards that are not listed go to
# the others in proportion.
PARTS: dict[str, float] = {"errors": 0.6, "latency": 0.3, "loss": 0.1, "kpi": 0.1}


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Window(Strict):
    """Hours of a week in which a rollout may take a step further."""

    days: tuple[Day, ...] = Field(min_length=1, description="Of the week, in `time_zone`.")
    hours: Hours | None = Field(
        None, description="From and to on those days, over midnight too; the whole day by default."
    )
    time_zone: str = Field("UTC", description="In which days and hours are meant.")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self._week()
        return self

    def holds(self, now: datetime) -> bool:
        """Say whether `now` (with a zone) lies in it."""
        return self._week().holds(now)

    def told(self) -> str:
        """Return when it holds, as the end of a sentence."""
        return self._week().told()

    def _week(self) -> Freeze:
        return Freeze(reason="window", days=self.days, hours=self.hours, time_zone=self.time_zone)


class Shadow(Strict):
    """The first step: the version gets a copy of the champion's requests, and nobody gets its answers."""

    requests: int = Field(500, ge=1, description="That it must have answered.")
    percent: float = Field(100, gt=0, le=100, description="Of the champion's requests that it gets as well.")


class Kpi(Strict):
    """A business measure on outcomes, bounded; `low` and `high` are what one unit can bring."""

    measure: Literal["conversion", "revenue", "cost"] = Field(
        "conversion", description="Whether the outcome is 1, the outcome itself, or evaluate.costs of the decision."
    )
    low: float = Field(0.0, description="Smaller values count as this.")
    high: float = Field(1.0, description="Larger values count as this.")
    margin: float = Field(0.02, gt=0, description="Loss of it that is tolerated, in its own unit.")

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        if self.margin >= self.high - self.low:
            raise ValueError(
                f"margin {self.margin:g} must be below {self.high - self.low:g}, the most that can be lost"
            )
        return self


class Rollout(Strict):
    """How a new version takes over."""

    strategy: Literal["canary", "blue_green"] = Field(
        "canary", description="By `steps`, or from shadow to all traffic at once with the old version kept warm."
    )
    shadow: Shadow | None = Field(Shadow(), description="The step before the first; null for none.")
    steps: tuple[Percent, ...] = Field(
        (1, 5, 25, 50),
        description="A new version's shares of the traffic in percent, one after the other; then all of it.",
    )
    pause: Duration = Field(timedelta(0), description="Least time at each step.")
    manual: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        (), description="Shares, 100 among them, that wait for `flywheel promote`."
    )
    windows: tuple[Window, ...] = Field((), description="When steps may be taken; a way back never waits.")
    unit: Literal["request", "user"] = Field(
        "request", description="What is randomised, and so the unit of evidence; user: see `sticky` of serving.yaml."
    )
    guard: tuple[GuardName, ...] = Field(
        ("errors", "latency", "prediction_shift", "loss"), description="What a new version is judged by."
    )
    parts: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        {}, description="Part of alpha by guard; they sum to at most 1."
    )
    margin: float = Field(0.0025, gt=0, lt=1, description="Tolerated rise of the error rate, absolute; or")
    ratio: float = Field(
        1.5, gt=1, le=100, description="ratio of the error rates that is tolerated, whichever is more."
    )
    ceiling: float = Field(
        0.1, gt=0, le=1, description="With a larger error rate no step is taken, however the champion does."
    )
    latency_objective_ms: float | None = Field(
        None, gt=0, description="Slower requests are counted; by default those over the champion's p90 and p99."
    )
    latency_ratio: float = Field(
        3, ge=1, le=100, description="Tolerated ratio of slow requests: a version that gets few has colder caches."
    )
    loss_margin: float = Field(0.02, gt=0, description="Tolerated rise of the loss, as monitor.retrain.margin.")
    kpi: Kpi | None = Field(None, description="The business measure of guard kpi.")
    least_requests: int = Field(100, ge=1, description="To the new version at each step before it goes further.")
    max_minutes: float = Field(1440, gt=0, description="Then the rollout holds and asks.")
    heal: tuple[HealName, ...] = Field(
        ("errors", "latency"),
        description="What sends a version back long after its promotion; of all else that turns bad people are told.",
    )
    loss_ratio: float = Field(
        1.25, gt=1, le=100, description="Ratio of a live version's loss to its own before, above which it turned bad."
    )
    bake: Duration = Field(timedelta(minutes=10), description="The old version stays warm so long after the last step.")
    keep_previous: bool = Field(
        False, description="It stays warm until the next rollout, and answers where the champion cannot."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.steps and self.strategy == "canary":
            raise ValueError("a canary has steps; write some, or strategy: blue_green")
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps {list(self.steps)} must rise")
        unknown = sorted(set(self.manual) - {*self.shares, 100})
        if unknown:
            raise ValueError(f"manual {unknown[0]} is no share of the steps {list(self.shares)}, nor 100")
        return self

    @model_validator(mode="after")
    def _each_objective_has_its_guard(self) -> Self:
        if self.latency_objective_ms is not None and "latency" not in self.guard:
            raise ValueError("latency_objective_ms is an objective without a metric: add latency to guard")
        if (self.kpi is not None) != ("kpi" in self.guard):
            raise ValueError("guard kpi and section kpi belong together; write both or none")
        if "loss" in self.heal and "loss" not in self.guard:
            raise ValueError("heal: loss is watched only where it is judged: add loss to guard")
        unlisted = [name for name in self.parts if name not in self.guard]
        if unlisted:
            raise ValueError(f"parts.{unlisted[0]} has no guard of that name; add it to guard, or remove the part")
        left = 1 - sum(self.parts.values())
        needed = any(name in PARTS and name not in self.parts for name in self.guard)
        if left < -1e-9 or (needed and left < 1e-9):
            raise ValueError(f"parts sum to {1 - left:g}; they must leave something of 1 to the other guards")
        return self

    @property
    def moot(self) -> str | None:
        """What it says that changes nothing, with what to do; None where all of it counts."""
        if self.strategy == "canary" or not self.steps or "steps" not in self.model_fields_set:
            return None
        return (
            "rollout.steps change nothing with strategy: blue_green, which goes from the shadow to all of the traffic "
            "at once. Leave them out, or write strategy: canary."
        )

    @property
    def shares(self) -> tuple[int, ...]:
        """The shares of the traffic before all of it, in percent."""
        return self.steps if self.strategy == "canary" else ()

    def parts_beside(self, more: Iterable[str]) -> dict[str, float]:
        """Return the parts that are given, cut down in proportion where they leave nothing to guards that are added."""
        needed = sum(PARTS.get(name, 0.0) for name in more)
        if needed == 0 or sum(self.parts.values()) < 1 - 1e-9:
            return self.parts
        return {name: part / (1 + needed) for name, part in self.parts.items()}

    def alpha_parts(self, guards: Iterable[str]) -> dict[str, float]:
        """Return each guard's part of alpha: as given, else in proportion to PARTS of what is left.

        Args:
            guards: Those that something is known of; the others' parts go to them.
        """
        there = [name for name in guards if name in PARTS]
        given = {name: self.parts[name] for name in there if name in self.parts}
        open_ones = {name: PARTS[name] for name in there if name not in given}
        left, total = 1 - sum(given.values()), sum(open_ones.values())
        return given | {name: left * part / total for name, part in open_ones.items()}
