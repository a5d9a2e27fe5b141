"""A rollout's evidence as its events hold it: for each metric its curves by step, and what it said last. Pure.

The curves are the `trace` of each step's last event; where there is none, as in old events, the verdict gives a point.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from registry.rollouts.record import Moment, Record

Values = Sequence[float | None]


@dataclass(frozen=True)
class Stretch:
    """One step's curves of one metric.

    Args:
        step: Index of the step.
        share: The new version's share (0 to 1) of the requests that are compared.
        anew: Whether its counts begin at nothing; else they go on where those of the step before end.
        seconds: Of the points, since the rollout's start.
        values: By statistic, one a point.
    """

    step: int
    share: float
    anew: bool
    seconds: Sequence[float]
    values: Mapping[str, Values]


@dataclass(frozen=True)
class MetricEvidence:
    """One metric.

    Args:
        name: As the plan has it.
        kind: As the plan has it.
        stretches: Its curves, by step in their order.
        said: What it said last: worse, good, holds, sentence, statistic, interval, counts.
        step: Index of the step at which it said that; None before the first.
    """

    name: str
    kind: str
    stretches: Sequence[Stretch] = ()
    said: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None

    @property
    def statistics(self) -> list[str]:
        """Names of what was measured."""
        return list(dict.fromkeys(name for stretch in self.stretches for name in stretch.values))


def evidence(record: Record) -> list[MetricEvidence]:
    """Return what each metric of the plan has shown, in the plan's order."""
    return [
        MetricEvidence(name, metric["kind"], list(_stretches(record, name)), *_said_last(record, name))
        for name, metric in record.plan.metrics.items()
    ]


def verdict(record: Record) -> Mapping[str, Any]:
    """Return the last verdict that is on record: call, reason, look, metrics; {} before the first."""
    return next((one for one, _ in _verdicts(record)), {})


def judged_step(record: Record) -> int | None:
    """Return the index of the step that the last verdict is of; None before the first."""
    return next((step for _, step in _verdicts(record)), None)


def _verdicts(record: Record) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield the verdicts on record, the newest first, each with its step."""
    for moment in reversed(record.moments):
        if found := moment.event.body.get("verdict"):
            yield found, moment.step_before


def _said_last(record: Record, name: str) -> tuple[Mapping[str, Any], int | None]:
    said = ((found["metrics"].get(name), step) for found, step in _verdicts(record) if "metrics" in found)
    return next(((one, step) for one, step in said if one), ({}, None))


def _stretches(record: Record, name: str) -> Iterator[Stretch]:
    plan = record.plan
    for step, moment in sorted(_last_of_step(record).items()):
        anew = plan.part(step) is not plan.part(step - 1)  # shadow and traffic are judged apart
        body = moment.event.body
        trace = body.get("trace") or {}
        found = trace.get("metrics", {}).get(name)
        if found:
            yield Stretch(step, plan.share(step, name), anew, trace["seconds"], found)
        elif statistic := body["verdict"]["metrics"].get(name, {}).get("statistic"):
            at = (moment.event.at - record.started).total_seconds()
            values = {key: [value] for key, value in statistic.items()}
            yield Stretch(step, plan.share(step, name), anew, [at], values)


def _last_of_step(record: Record) -> dict[int, Moment]:
    """Return by step the last event that carries its evidence: one that held it knows less than what came after."""
    judged = [one for one in record.moments if one.event.body.get("verdict", {}).get("metrics")]
    return {one.step_before: one for one in judged if 0 <= one.step_before < len(record.plan.steps)}
