"""What the page of a rollout shows, and its report as well: values only, made of a record and a time. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.rollouts.charts import Traffic, charts, span, traffic
from registry.rollouts.drawing import Chart
from registry.rollouts.evidence import MetricEvidence, evidence, verdict
from registry.rollouts.record import COMPARED, Phase, Record
from registry.rollouts.sayings import WORDS, Saying
from registry.rollouts.turns import Mark, Turn, marks, turns
from registry.rollouts.wording import Guard, guard_name, guards, sentences

TITLES = {
    Phase.STARTING: ("Starting", ""),
    Phase.SHADOW: ("In the shadow", "accent"),
    Phase.CANARY: ("Canary", "accent"),
    Phase.HELD: ("Held: it asks people", "warn"),
    Phase.PROMOTING: ("Takes over", "accent"),
    Phase.BAKING: ("Live, the version before is still warm", "good"),
    Phase.DONE: ("Live", "good"),
    Phase.ROLLING_BACK: ("Goes back", "bad"),
    Phase.ROLLED_BACK: ("Rolled back", "bad"),
}


@dataclass(frozen=True)
class MetricView:
    """One metric: its name, its state as a word and a tone, what it said last, and its pictures."""

    title: str
    evidence: MetricEvidence
    state: tuple[str, str]
    intervals: Sequence[tuple[str, str]]
    counts: Sequence[tuple[str, str]]
    charts: Sequence[Chart]


@dataclass(frozen=True)
class RolloutView:
    """All that is shown of a rollout.

    Args:
        record: The rollout.
        until: The end of the time line: when it ended, else now.
        title: Where it stands, in words, with a tone.
        verdict: The last one on record: call, reason, metrics.
        traffic: Its picture.
        turns: What happened, oldest first.
        marks: The same on the time line.
        metrics: What it was judged by.
        guards: The same as planned.
        plan: The rest of the plan, names and sentences.
        says: What the viewer may say now.
    """

    record: Record
    until: datetime
    title: tuple[str, str]
    verdict: Mapping[str, Any]
    traffic: Traffic
    turns: Sequence[Turn]
    marks: Sequence[Mark]
    metrics: Sequence[MetricView]
    guards: Sequence[Guard]
    plan: Sequence[tuple[str, str]]
    says: Sequence[Saying] = ()

    @property
    def lasted(self) -> str:
        """How long it has taken so far."""
        return span((self.until - self.record.started).total_seconds())

    @property
    def grows(self) -> bool:
        """Whether there are looks that stand on no record yet."""
        return self.record.is_under_way and self.record.phase in COMPARED


def build(record: Record, now: datetime, *, operates: bool = False) -> RolloutView:
    """Make the view of a rollout.

    Args:
        record: The rollout.
        now: The time.
        operates: Whether the viewer may operate it.
    """
    until = record.ended or now
    found = turns(record)
    return RolloutView(
        record=record,
        until=until,
        title=title(record),
        verdict=verdict(record),
        traffic=traffic(record, until),
        turns=found,
        marks=marks(record, [turn for turn in found if turn.at <= until], until),
        metrics=[_metric(record, one) for one in evidence(record)],
        guards=guards(record.plan),
        plan=sentences(record.plan),
        says=sayings(record) if operates else (),
    )


def title(record: Record) -> tuple[str, str]:
    """Say where a rollout stands, with a tone."""
    if record.gone:
        return "Taken out of service", "bad"
    words, tone = TITLES[record.phase]
    return (f"{words}, paused", "warn") if record.paused is not None and record.is_under_way else (words, tone)


def sayings(record: Record) -> list[Saying]:
    """Return what may be said of a rollout now."""
    if not record.is_under_way:
        return []
    return [saying for saying, word in WORDS.items() if word.why_not(record) is None]


def _metric(record: Record, found: MetricEvidence) -> MetricView:
    said = found.said
    ends = said.get("interval", {}).items()
    return MetricView(
        title=guard_name(found.name),
        evidence=found,
        state=_state(said),
        intervals=[(name, _interval(*pair)) for name, pair in ends],
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


def _state(said: Mapping[str, Any]) -> tuple[str, str]:
    if not said:
        return "nothing seen", ""
    if said["worse"]:
        return "worse", "bad"
    if said["holds"]:
        return "holds", "warn"
    return {True: ("gate open", "good"), False: ("gate closed", ""), None: ("no harm found", "")}[said["good"]]


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "anything" if low is None and high is None else f"{low:.4g} or more" if high is None else f"≤ {high:.4g}"
    return f"{low:.4g} to {high:.4g}"
