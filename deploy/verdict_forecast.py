"""What a plan can be expected to do before it starts: how long it takes, what it finds, and what it cannot tell."""

from dataclasses import dataclass
from itertools import pairwise

from deploy.verdict.gates import expected_counts, expected_requests
from deploy.verdict.power import POWER, Evidence, smallest_rise
from deploy.verdict_metrics import ErrorsSpec, UsersSpec
from deploy.verdict_plan import PlanSpec

# Below so many errors of the canary, no test finds anything short of an outage.
FEW_ERRORS = 10
# Looks of a step in the computation: more of them change little.
_LOOKS = 20
_HOUR = 3600


@dataclass(frozen=True)
class Traffic:
    """What the rollout will meet.

    Args:
        requests_per_second: To both arms.
        error_rate: The champion's (0 to 1).
        canary_pods: Copies of the canary; None when it is not known.
        most_seconds: After which the rollout holds and asks; None for never.
        least_seconds: That each step takes in any case.
    """

    requests_per_second: float
    error_rate: float
    canary_pods: int | None = None
    most_seconds: float | None = None
    least_seconds: float = 0.0


@dataclass(frozen=True)
class StepForecast:
    """One step of a healthy version: percent to the canary, seconds until the gate opens, the canary's errors."""

    percent: int
    seconds: float
    canary_errors: float


@dataclass(frozen=True)
class Forecast:
    """What is expected of a plan.

    Args:
        steps: Of a healthy version, until the last gate or `most_seconds`.
        seconds: Until it is promoted, however long that is.
        smallest_rise: Of the error rate, absolute, that is found in 80 % of rollouts; None when none is.
        smallest_ratio: The same as a ratio of error rates; None when the champion has no errors, too.
        cautions: What the plan cannot tell, a sentence each.
    """

    steps: tuple[StepForecast, ...]
    seconds: float
    smallest_rise: float | None
    smallest_ratio: float | None
    cautions: tuple[str, ...]


def forecast(plan: PlanSpec, traffic: Traffic) -> Forecast:
    """Say how long a healthy version takes, and which harm the guard on errors finds meanwhile.

    Raises:
        ValueError: The plan has no guard on errors, there is no traffic, or the rate is none.
    """
    spec = next((metric for metric in plan.metrics.values() if isinstance(metric, ErrorsSpec)), None)
    if spec is None:
        raise ValueError("the plan has no metric of kind errors, which alone can be foretold; add one")
    if not (traffic.requests_per_second > 0 and 0 <= traffic.error_rate < 1):
        raise ValueError("requests_per_second must be above 0, and error_rate from 0 to below 1")
    requests = _requests(plan, spec, traffic)
    kept = _until(requests, (traffic.most_seconds or float("inf")) * traffic.requests_per_second)
    steps = tuple(
        StepForecast(percent, count / traffic.requests_per_second, count * percent / 100 * traffic.error_rate)
        for percent, count in zip(plan.steps, kept, strict=True)
    )
    evidence = [
        Evidence(percent / 100, count / _LOOKS, _LOOKS)
        for percent, count in zip(plan.steps, kept, strict=True)
        if count
    ]
    schedule, alpha = spec.build(plan.frame).plan.schedule, _part(plan, spec) * plan.alpha
    rise = smallest_rise(evidence, traffic.error_rate, schedule, alpha)
    seconds = sum(requests) / traffic.requests_per_second
    ratio = 1 + rise / traffic.error_rate if rise is not None and traffic.error_rate else None
    said = [*_of_time(seconds, traffic), *_of_errors(plan, spec, traffic, steps)]
    if rise is None:
        said.append(f"No harm to the error rate is found in {POWER:.0%} of rollouts.")
    return Forecast(steps, seconds, rise, ratio, (*said, *cautions(plan, canary_pods=traffic.canary_pods)))


def cautions(plan: PlanSpec, *, canary_pods: int | None = None) -> list[str]:
    """Return what no test of the plan can tell, a sentence each; none when there is nothing to say.

    Args:
        plan: The plan.
        canary_pods: Number of the canary's pods; None when it is not known.
    """
    kinds = {metric.kind for metric in plan.metrics.values()}
    if canary_pods != 1 or not kinds & {"errors", "latency", "pods"}:
        return []
    return [
        "The canary has one pod, and a pod that is bad for the whole rollout is not told from a bad version:"
        " give it two or more."
    ]


def _part(plan: PlanSpec, spec: ErrorsSpec) -> float:
    """Return what the guard on errors may spend; where users are the units, that is theirs."""
    users = (metric.part for metric in plan.metrics.values() if isinstance(metric, UsersSpec))
    return spec.part if spec.part is not None else next(users, 0.0)


def _requests(plan: PlanSpec, spec: ErrorsSpec, traffic: Traffic) -> list[float]:
    """Return the requests of both arms that each step takes."""
    return [
        max(
            expected_requests(percent, margin, plan.alpha, traffic.error_rate) if spec.opens else 0.0,
            spec.least_requests / (percent / 100),
            traffic.least_seconds * traffic.requests_per_second,
        )
        for percent, margin in zip(plan.steps, spec.margins(plan.frame), strict=True)
    ]


def _until(requests: list[float], most: float) -> list[float]:
    """Cut steps so that they sum to at most so many requests."""
    sums = [0.0]
    for count in requests:
        sums.append(min(sums[-1] + count, most))
    return [after - before for before, after in pairwise(sums)]


def _of_time(seconds: float, traffic: Traffic) -> list[str]:
    most = traffic.most_seconds
    if most is None or seconds <= most:
        return []
    return [
        f"A healthy version needs {_hours(seconds)} at {traffic.requests_per_second:g} requests/s, but the plan allows"
        f" {_hours(most)}: allow more, or take wider margins."
    ]


def _of_errors(plan: PlanSpec, spec: ErrorsSpec, traffic: Traffic, steps: tuple[StepForecast, ...]) -> list[str]:
    expected = sum(step.canary_errors for step in steps)
    if expected >= FEW_ERRORS:
        return []
    said = f"{expected:.1f} errors of the canary are expected in the whole rollout, and with fewer than {FEW_ERRORS}"
    said += " little but an outage is found"
    if traffic.error_rate == 0:
        return [f"{said}."]
    margins = zip(plan.steps, spec.margins(plan.frame), strict=True)
    errors = sum(expected_counts(percent, margin, plan.alpha) for percent, margin in margins)
    seconds = errors / traffic.error_rate / traffic.requests_per_second
    return [f"{said}; evidence on the ratio of error rates would take {_hours(seconds)}."]


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR:,.1f} hours" if seconds >= _HOUR else f"{seconds / 60:.1f} minutes"
