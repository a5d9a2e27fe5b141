"""What the page of a rollout shows, and its report as well: values only, made of a record and a time. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.review.wording import Told, tell
from registry.rollouts.charts import Traffic, span, step_name, traffic
from registry.rollouts.evidence import evidence, judged_step, verdict
from registry.rollouts.metric_view import MetricView, metric_view
from registry.rollouts.record import Record
from registry.rollouts.sayings import WORDS, Saying
from registry.rollouts.standing import title
from registry.rollouts.turns import Mark, Turn, marks, turns
from registry.rollouts.waiting import waits_for
from registry.rollouts.wording import Guard, guards, sentences


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
        metrics=[metric_view(record, one) for one in evidence(record)],
        guards=guards(record.plan),
        plan=sentences(record.plan),
        says=sayings(record) if operates else (),
    )


def sayings(record: Record) -> list[Saying]:
    """Return what may be said of a rollout now."""
    if not record.is_under_way:
        return []
    return [saying for saying, word in WORDS.items() if word.why_not(record) is None]
