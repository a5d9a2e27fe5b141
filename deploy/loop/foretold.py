"""What `flywheel deploy --dry-run` tells of a rollout that has not started: its plan, how long it takes, what it finds.

Flows in: the plan as it would stand in the record, and what the gateway had in the last hour. Flows out: lines.
"""

from collections.abc import Iterator

from deploy.evidence.references import Traffic
from deploy.loop.plans import RolloutPlan
from deploy.verdict.power import POWER
from deploy.verdict_forecast import Forecast, forecast
from deploy.verdict_forecast import Traffic as Expected
from deploy.verdict_plan import PlanSpec


def plan_lines(plan: RolloutPlan, traffic: Traffic, *, pods: int) -> Iterator[str]:
    """Say what a rollout would do.

    Args:
        plan: As it would be fixed at the start.
        traffic: Of the last hour.
        pods: Agents of the new version.
    """
    yield f"way: {way(plan)}"
    for name, judged_by in (("shadow", plan.shadow), ("traffic", plan.traffic)):
        if judged_by is not None:
            yield f"judged in {name}: {guards(judged_by)}"
    unknown = [name for name in plan.spec.guard if plan.traffic is not None and name not in plan.traffic.metrics]
    if unknown:
        yield f"not judged: {', '.join(unknown)}, of which nothing is known of the champion yet"
    if plan.traffic is None:
        return
    if traffic.requests == 0:
        yield "duration: not known, for there was no request in the last hour; without traffic no step is taken"
        return
    rate, errors = traffic.requests_per_second, traffic.error_rate or 0.0
    most, pause = plan.spec.max_minutes * 60, plan.spec.pause.total_seconds()
    found = forecast(plan.traffic, Expected(rate, errors, pods, most, pause))
    yield f"duration: {duration(found, plan, traffic)}"
    yield f"finds in {POWER:.0%} of rollouts: {harm(found, errors)}"
    yield from (f"caution: {sentence}" for sentence in found.cautions)


def way(plan: RolloutPlan) -> str:
    """Say the steps of a plan."""
    shadow = plan.spec.shadow
    first = [f"shadow ({shadow.requests:,} requests, {shadow.percent:g} % of all)"] if shadow is not None else []
    said = [f"{step} %" for step in plan.spec.shares] + ["100 %"]
    said = [f"{one} when people say so" if int(one[:-2]) in plan.spec.manual else one for one in said]
    pause = f", each for {_length(plan.spec.pause.total_seconds())} at least" if plan.spec.pause else ""
    windows = f", {plan.spec.windows[0].told()}" if plan.spec.windows else ""
    bake = f"; the old version stays warm for {_length(plan.spec.bake.total_seconds())}" if plan.spec.bake else ""
    return " → ".join([*first, *said]) + pause + windows + bake


def guards(plan: PlanSpec) -> str:
    """Say what a plan judges by, each with its part of alpha."""
    told = []
    for name, metric in plan.metrics.items():
        part = getattr(metric, "part", None)
        told.append(name if part is None else f"{name} ({part:.0%})")
    return f"{', '.join(told)} of alpha {plan.alpha:g}"


def duration(found: Forecast, plan: RolloutPlan, traffic: Traffic) -> str:
    """Say how long a healthy version takes."""
    steps = [f"{step.percent} % {_length(step.seconds)}" for step in found.steps]
    mirrored = _mirrored(plan, traffic)
    seconds = found.seconds + mirrored
    if plan.shadow is not None:
        steps.insert(0, f"shadow {_length(mirrored)}")
    errors = f"{traffic.error_rate or 0:.2%} errors"
    return f"about {_length(seconds)} at {traffic.requests_per_second:.3g} requests/s and {errors} ({', '.join(steps)})"


def _mirrored(plan: RolloutPlan, traffic: Traffic) -> float:
    """Return the seconds until the shadow's gate opens, to which each copied request counts in both arms; 0 without."""
    shadow, judged_by = plan.spec.shadow, plan.shadow
    if shadow is None or judged_by is None:
        return 0.0
    copied = traffic.requests_per_second * shadow.percent / 100
    if not any(metric.kind == "errors" for metric in judged_by.metrics.values()):
        return shadow.requests / copied
    return forecast(judged_by, Expected(2 * copied, traffic.error_rate or 0.0)).seconds


def harm(found: Forecast, error_rate: float) -> str:
    """Say the smallest harm to the error rate that the plan finds."""
    if found.smallest_rise is None:
        return "no harm to the error rate"
    ratio = f" (× {found.smallest_ratio:.1f})" if found.smallest_ratio is not None else ""
    return f"an error rate of {error_rate + found.smallest_rise:.2%} instead of {error_rate:.2%}{ratio}"


def _length(seconds: float) -> str:
    if seconds >= 86_400:
        return f"{seconds / 86_400:.1f} days"
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
