"""The looks in a file for `flywheel verdict`, by kind of metric, and what the verdict takes of each."""

import math
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from deploy.verdict.exceedance import SlowLook
from deploy.verdict.looks import Look
from deploy.verdict.means import differences
from deploy.verdict.several import StepLook
from deploy.verdict_metrics import Strict
from deploy.verdict_plan import PlanSpec
from flywheel.faults import Place, sentence_of

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Requests(Strict):
    """Requests of one arm since the last look, and how many of them failed."""

    requests: Count
    errors: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.errors > self.requests:
            raise ValueError(f"{self.errors} errors are more than {self.requests} requests")
        return self


class ErrorsLook(Strict):
    """Both arms' requests and errors."""

    canary: Requests
    baseline: Requests

    def taken(self) -> Look:
        """Return what the metric takes."""
        return Look(self.canary.requests, self.canary.errors, self.baseline.requests, self.baseline.errors)


class SlowRequests(Strict):
    """Requests of one arm, and those over each threshold."""

    requests: Count
    over_p90: Count
    over_p99: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.over_p99 <= self.over_p90 <= self.requests:
            raise ValueError(f"over_p99 {self.over_p99}, over_p90 {self.over_p90}, requests {self.requests} must rise")
        return self


class LatencyLook(Strict):
    """Both arms' slow requests, and how long the look was; one that does not say is evidence by itself."""

    canary: SlowRequests
    baseline: SlowRequests
    seconds: float | None = Field(None, ge=0)

    def taken(self) -> SlowLook:
        """Return what the metric takes."""
        canary, baseline = self.canary, self.baseline
        p90 = Look(canary.requests, canary.over_p90, baseline.requests, baseline.over_p90)
        p99 = Look(canary.requests, canary.over_p99, baseline.requests, baseline.over_p99)
        return SlowLook((p90, p99), math.inf if self.seconds is None else self.seconds)


class MeanLook(Strict):
    """Differences of pairs, or both arms' values."""

    differences: list[float] | None = None
    canary: list[float] | None = None
    baseline: list[float] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        arms = self.canary is not None and self.baseline is not None
        neither = self.canary is None and self.baseline is None
        if not (neither if self.differences is not None else arms):
            raise ValueError("give either differences (canary - champion, of pairs) or values of canary and baseline")
        return self

    def taken(self) -> list[float] | None:
        """Return what the metric takes; None when that is nothing."""
        return (self.differences or differences(self.canary or [], self.baseline or [])) or None


class UsersLook(Strict):
    """Both arms' errors by user; who had none may be left out."""

    canary: dict[str, Count]
    baseline: dict[str, Count]

    def taken(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return what the metric takes."""
        return self.canary, self.baseline


class CountsLook(Strict):
    """Both arms' counts, by pod or by bin."""

    canary: list[Count]
    baseline: list[Count]

    def taken(self) -> tuple[list[int], list[int]]:
        """Return what the metric takes."""
        return self.canary, self.baseline


class MinuteLook(Strict):
    """Both arms' value of one minute."""

    canary: float
    baseline: float

    def taken(self) -> tuple[float, float]:
        """Return what the metric takes."""
        return self.canary, self.baseline


KINDS: dict[str, type[ErrorsLook | LatencyLook | MeanLook | UsersLook | CountsLook | MinuteLook]] = {
    "errors": ErrorsLook,
    "latency": LatencyLook,
    "mean": MeanLook,
    "users": UsersLook,
    "pods": CountsLook,
    "series": MinuteLook,
    "dispersion": MinuteLook,
    "shift": CountsLook,
}


class LookSpec(Strict):
    """One look: the step in percent, and what was seen since the last one, by metric of the plan."""

    step: int
    metrics: dict[str, dict[str, Any]]

    def taken(self, plan: PlanSpec, place: str = "look") -> StepLook:
        """Return the look as the judge takes it; `place` names it in messages.

        Raises:
            ValueError: Its step or a metric is none of the plan's, or a body is not of its metric's kind.
        """
        if self.step not in plan.steps:
            raise ValueError(f"{place}.step: {self.step} is none of the plan's steps {list(plan.steps)}. Name one.")
        return StepLook(plan.steps.index(self.step), {name: self._body(plan, name, place) for name in self.metrics})

    def _body(self, plan: PlanSpec, name: str, place: str) -> Any:
        if name not in plan.metrics:
            raise ValueError(f"{place}.metrics.{name} is no metric of the plan. It has {', '.join(plan.metrics)}.")
        try:
            return KINDS[plan.metrics[name].kind].model_validate(self.metrics[name]).taken()
        except ValidationError as error:
            told = sentence_of(error, lambda inside: [place, "metrics", name, *keys(inside)])
            raise ValueError(f"{told} {SEE_DOCS}") from error


SEE_DOCS = "docs/verdict.md shows the form."


def keys(place: Place) -> list[int | str]:
    """Return the keys of the file: lists are counted from 1, as everywhere else a person reads of looks."""
    if place[:2] == ("plan", "metrics"):  # pydantic names the kind after the metric; the file has no such key there
        place = (*place[:3], *place[4:])
    return [part + 1 if isinstance(part, int) else part for part in place]
