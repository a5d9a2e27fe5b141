"""What the page of a rollout shows, and its report as well: values only, made of a record and a time. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.rollbacks import Cause
from registry.review.wording import Told, tell
from registry.rollouts.charts import Traffic, charts, span, step_name, traffic
from registry.rollouts.drawing import Chart
from registry.rollouts.evidence import MetricEvidence, evidence, judged_step, verdict
from registry.rollouts.record import COMPARED, Phase, Record
from registry.rollouts.sayings import WORDS, Saying
from registry.rollouts.turns import Mark, Turn, marks, turns
from registry.rollouts.waiting import waits_for
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
# What ended it speaks against no version.
NO_FAILURES = {
    Cause.SUPERSEDED: "Superseded",
    Cause.WITHDRAWN: "Taken back by people",
    Cause.NO_WINNER: "Ended without a winner",
}


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


@dataclass(frozen=True)
class RolloutView:
    """All that is shown of a rollout.

    Args:
        record: The rollout.
        until: The end of the time line: when it ended, else now.
        title: Where it stands, in words, with a tone.
        waits: What makes it go on, in sentences; "" when it is over.
        withdrawn: By whom and why a version of it was taken out of Production, which ended it.
        verdict: The last one on record: call, reason, metrics.
        judged: Of which step that is, in a word.
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
    waits: str
    withdrawn: Told | None
    verdict: Mapping[str, Any]
    judged: str
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
    def present(self) -> str:
        """The step that it is at, in a word."""
        return step_name(self.record, self.record.step)

    @property
    def grows(self) -> bool:
        """Whether there are looks that stand on no record yet."""
        return _grows(self.record)


def build(record: Record, now: datetime, *, operates: bool = False) -> RolloutView:
    """Make the view of a rollout.

    Args:
        record: The rollout.
        now: The time.
        operates: Whether the viewer may operate it.
    """
    until = record.ended or now
    found, judged = turns(record), judged_step(record)
    return RolloutView(
        record=record,
        until=until,
        title=title(record),
        waits=waits_for(record, now),
        withdrawn=tell(record.withdrawn) if record.withdrawn is not None else None,
        verdict=verdict(record),
        judged=step_name(record, judged) if judged is not None else "",
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
    if record.replaced is not None:
        return f"Replaced by version {record.replaced}", ""
    if record.phase is Phase.ROLLED_BACK and record.cause in NO_FAILURES:
        return ("Stopped by people" if record.stopped else NO_FAILURES[Cause(record.cause)]), ""
    if record.gone and record.phase is not Phase.ROLLED_BACK:
        return "Taken out of service", "bad"
    words, tone = TITLES[record.phase]
    return (f"{words}, paused", "warn") if record.paused is not None and record.is_under_way else (words, tone)


def standing(record: Record, now: datetime) -> str:
    """Say in a line what a rollout waits for, else how it ended and by whose word."""
    if record.withdrawn is None:
        return waits_for(record, now) or record.reason
    told = tell(record.withdrawn)
    return f"{told.who} {told.what}{f': {told.more}' if told.more else '.'}"


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


def _grows(record: Record) -> bool:
    return record.is_under_way and record.phase in COMPARED


def _state(record: Record, found: MetricEvidence) -> tuple[str, str]:
    """Say in a word what a metric said last; while looks are on no record yet also at which step that was."""
    if found.step is None:
        if not _grows(record):
            return "no look on record", ""
        return ("not on record yet" if _is_judged(record, found.name) else "not judged at this step"), ""
    words, tone = _word(found.said)
    return (
        f"{words} at {step_name(record, found.step)}" if _grows(record) and found.step != record.step else words
    ), tone


def _word(said: Mapping[str, Any]) -> tuple[str, str]:
    if said["worse"]:
        return "worse", "bad"
    if said["holds"]:
        return "holds", "warn"
    return {True: ("gate open", "good"), False: ("gate closed", ""), None: ("no harm found", "")}[said["good"]]


def _not_said(record: Record, name: str) -> str:
    """Say why there is nothing on record of a metric."""
    if not _grows(record):
        return "No look at it has come on record."
    if not _is_judged(record, name):
        return "It is judged at a later step."
    return "Its looks at this step come on record once the step is decided; until then `flywheel status` shows them."


def _is_judged(record: Record, name: str) -> bool:
    """Say whether the present step is judged by a metric."""
    return name in record.plan.part(record.step)["metrics"]


def interval(low: float | None, high: float | None) -> str:
    """Write the ends of an interval; None is an end that is not known yet."""
    if high is None:  # a ratio is 0 or more, whatever was seen
        return f"at least {low:.4g}, and no upper bound yet" if low else "no bound yet"
    if low is None:
        return f"at most {high:.4g}, and no lower bound yet"
    return f"{low:.4g} to {high:.4g}"
