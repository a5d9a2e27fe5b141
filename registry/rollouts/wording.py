"""A plan in words, for people who did not write it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from registry.rollouts.charts import span
from registry.rollouts.limits import limits
from registry.rollouts.plan import SHADOW, Plan

GUARDS = {
    "errors": "Errors",
    "latency": "Latency",
    "loss": "Loss",
    "kpi": "Business measure",
    "prediction_shift": "Shift of predictions",
    "users": "Errors by user",
    "outage": "Outage",
}


@dataclass(frozen=True)
class Guard:
    """What a metric may do: its parts of alpha by what is judged, and what it looks at and tolerates, both in words."""

    name: str
    parts: str
    limits: str


def guard_name(name: str) -> str:
    """Name a metric for people; of an experiment its name ends with the arm."""
    guard, _, arm = name.partition(" ")
    known = GUARDS.get(guard, guard.replace("_", " ").capitalize())
    return f"{known}, {arm}" if arm else known


def sentences(plan: Plan) -> list[tuple[str, str]]:
    """Return what was fixed at the start, but for the metrics, as a name and a sentence each."""
    return list(_sentences(plan))


def guards(plan: Plan) -> list[Guard]:
    """Return what the rollout is judged by."""
    return [
        Guard(guard_name(name), _parts(plan, name), limits(name.partition(" ")[0], metric))
        for name, metric in plan.metrics.items()
    ]


def _sentences(plan: Plan) -> Iterator[tuple[str, str]]:
    way = plan.way
    steps = [f"{percent} %" if percent else "shadow" for percent in plan.steps]
    yield "Way", " → ".join([*steps, "100 %"])
    if plan.experiment:
        yield "Experiment", _experiment(plan.experiment)
    if way.shadow is not None and SHADOW in plan.judged:
        copied = "all" if way.shadow.percent == 100 else f"{way.shadow.percent:g} %"
        least = f"until it has answered {way.shadow.requests:,} and its gate is open"
        yield "Shadow", f"It gets a copy of {copied} of the requests, {least}."
    if plan.judged:
        alpha = sum(part["alpha"] for part in plan.judged.values())
        yield "Alpha", f"{alpha:g}: so often a version that is as good as the champion is rolled back, at most."
    if way.least_requests > 1:
        yield "Least evidence", f"{way.least_requests:,} requests to it at each step."
    if way.pause:
        yield "Pause", f"At least {_length(way.pause)} at each step."
    if way.manual:
        yield "People", f"{' and '.join(f'{one} %' for one in sorted(way.manual))}: somebody must let it go there."
    if way.windows:
        yield "Windows", f"Steps may be taken {' or '.join(window.told() for window in way.windows)}."
    yield "Time", f"After {_length(timedelta(minutes=way.max_minutes))} without a decision it holds, and asks people."
    yield "Unit", f"What is randomised is the {way.unit}."
    warm = f"for {_length(way.bake)} after the last step" if way.bake else "no longer than the last step takes"
    kept = "until the next rollout" if way.keep_previous else warm
    yield "Bake", f"The version before stays warm {kept}."


def _experiment(document: Mapping[str, Any]) -> str:
    versions, shares = document.get("versions", {}), document["shares"]
    order = sorted(shares, key=lambda arm: (arm != document["control"], len(arm), arm))  # an event keeps none
    arms = [f"{arm}{f' (version {versions[arm]})' if arm in versions else ''} {shares[arm]:g} %" for arm in order]
    return f"{document['name']}: {', '.join(arms)}; the best by {document['metric']['name']} takes all of the traffic."


def _parts(plan: Plan, name: str) -> str:
    found = []
    for judged, part in plan.judged.items():
        metric = part["metrics"].get(name)
        if metric is not None and "part" in metric:
            found.append(f"{judged} {metric['part'] * part['alpha']:.2g}")
    return ", ".join(found) or "never rolls back"


def _length(length: timedelta) -> str:
    return span(length.total_seconds())
