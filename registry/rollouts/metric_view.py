"""What the page of a rollout shows of one metric: values only, made of its evidence. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.rollouts.charts import charts, step_name
from registry.rollouts.drawing import Chart
from registry.rollouts.evidence import MetricEvidence
from registry.rollouts.record import Record
from registry.rollouts.wording import guard_name


@dataclass(frozen=True)
class MetricView:
    """One metric: its name, its state as a word and a tone, what it said last in a sentence, and its pictures."""

    title: str
    evidence: MetricEvidence
    state: tuple[str, str]
    sentence: str
    intervals: Sequence[tuple[str, str]]
    counts: Sequence[tuple[str, str]]
    charts: Sequence[Chart]


def metric_view(record: Record, found: MetricEvidence) -> MetricView:
    """Make the view of a metric."""
    said = found.said
    ends = said.get("interval", {}).items()
    return MetricView(
        title=guard_name(found.name),
        evidence=found,
        state=_state(record, found),
        sentence=said["sentence"] if said else _not_said(record, found.name),
        intervals=[(name, interval(*pair)) for name, pair in ends],
        counts=[*_counts(said), *_spent(record, found)],
        charts=list(charts(record, found)),
    )


def _counts(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), f"{value:,g}") for name, value in said.get("counts", {}).items()]


def _spent(record: Record, found: MetricEvidence) -> list[tuple[str, str]]:
    """Say how much of its part of alpha a guard has spent."""
    spent = [value for name, value in found.said.get("statistic", {}).items() if name.endswith("spent")]
    if not spent or not found.stretches:
        return []
    judged = record.plan.part(found.stretches[-1].step)
    part = judged["metrics"].get(found.name, {}).get("part")
    return [("alpha spent", f"{sum(spent):.2g}" + (f" of {judged['alpha'] * part:.2g}" if part else ""))]


def _state(record: Record, found: MetricEvidence) -> tuple[str, str]:
    """Say in a word what a metric said last; while looks are on no record yet also at which step that was."""
    if found.step is None:
        if not record.grows:
            return "no look on record", ""
        return ("not on record yet" if _is_judged(record, found.name) else "not judged at this step"), ""
    words, tone = _word(found.said)
    if record.grows and found.step != record.step:
        words = f"{words} at {step_name(record, found.step)}"
    return words, tone


def _word(said: Mapping[str, Any]) -> tuple[str, str]:
    if said["worse"]:
        return "worse", "bad"
    if said["holds"]:
        return "holds", "warn"
    return {True: ("gate open", "good"), False: ("gate closed", ""), None: ("no harm found", "")}[said["good"]]


def _not_said(record: Record, name: str) -> str:
    """Say why there is nothing on record of a metric."""
    if not record.grows:
        return "No look at it has come on record."
    if not _is_judged(record, name):
        return "It is judged at a later step."
    return "Its looks at this step come on record once the step is decided; until then `flywheel status` shows them."


def _is_judged(record: Record, name: str) -> bool:
    """Say whether the present step is judged by a metric."""
    return name in record.plan.part(record.step).get("metrics", {})


def interval(low: float | None, high: float | None) -> str:
    """Write the ends of an interval; None is an end that is not known yet."""
    if high is None:  # a ratio is 0 or more, whatever was seen
        return f"at least {low:.4g}, and no upper bound yet" if low else "no bound yet"
    if low is None:
        return f"at most {high:.4g}, and no lower bound yet"
    return f"{low:.4g} to {high:.4g}"
