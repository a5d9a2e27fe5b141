"""Looks at the business measure of an experiment: rarely, for each reads the log anew and says all that is known.

Flows in: what the log knows at a time, as `deploy.experiments.sources.look_of_log` returns it. Flows out: an opinion,
and what goes on record, of which `judge_experiment` makes the same judgement again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.experiments.documents import deciding, judge_experiment
from deploy.loop.decision import Opinion
from deploy.loop.journal import Journal
from deploy.loop.rollout import Rollout
from deploy.verdict import Call
from flywheel.errors import FlywheelError, UsageError
from flywheel.rollbacks import Cause

# Given the plan's document and a time (naive UTC), returns a look.
Measure = Callable[[Mapping[str, Any], datetime], dict[str, Any]]
# A look reads the log since the start: the older an experiment, the more that is, and the less a minute changes.
LEAST, LOOK_SHARE, MOST = timedelta(minutes=1), 0.01, timedelta(hours=1)


@dataclass
class ExperimentLooks:
    """The looks at experiments. Not for several threads.

    Args:
        measure: Asks the log.
        journal: Where the looks that count are kept.
        now: The time, with its zone.
    """

    measure: Measure
    journal: Journal
    now: Callable[[], datetime]
    _taken: dict[str, datetime] = field(default_factory=dict)
    _trouble: dict[str, str] = field(default_factory=dict)

    def opinion(self, rollout: Rollout) -> Opinion:
        """Look unless the last look is too young; say what all looks so far lead to."""
        if self._is_due(rollout):
            self._take(rollout)
        record = self.record(rollout)
        trouble = self._trouble.get(rollout.name)
        if trouble or not record:
            return Opinion(Call.NOT_YET, trouble or "There is no look at the experiment yet.")
        return opinion_of(rollout, record["judgement"])

    def record(self, rollout: Rollout) -> dict[str, Any]:
        """Return the looks that count and their judgement, as plain JSON values; {} before the first."""
        looks = self._looks(rollout)
        if not looks:
            return {}
        return {"looks": looks, "judgement": judge_experiment(rollout.plan.experiment, looks)}

    def _is_due(self, rollout: Rollout) -> bool:
        now, taken = self.now(), self._taken.get(rollout.name)
        if taken is None:
            return True
        return now - taken >= min(max(LEAST, (now - rollout.started) * LOOK_SHARE), MOST)

    def _take(self, rollout: Rollout) -> None:
        now = self.now()
        self._taken[rollout.name] = now
        plan = rollout.plan.experiment
        try:
            look = self.measure(plan, now.astimezone(UTC).replace(tzinfo=None))
            looks = deciding(plan, [*self._looks(rollout), look])
        except FlywheelError as fault:  # an arm without a unit yet, or a log that cannot be read now
            self._trouble[rollout.name] = str(fault)
            return
        self._trouble.pop(rollout.name, None)
        self.journal.keep_experiment(rollout.name, looks)

    def _looks(self, rollout: Rollout) -> list[Mapping[str, Any]]:
        """Return the looks that count; where the journal was lost, those of the last event that has any."""
        plan = rollout.plan.experiment
        kept = self.journal.experiment(rollout.name)
        try:
            return deciding(plan, kept) if kept else list(rollout.details.get("experiment", {}).get("looks", ()))
        except UsageError:  # damaged; the next look says all that is known anew
            return []


def opinion_of(rollout: Rollout, judgement: Mapping[str, Any]) -> Opinion:
    """Return what a judgement means for the rollout: an arm that violates a guardrail ends the whole of it."""
    reason = str(judgement["reason"])
    if judgement["call"] == Call.PROMOTE:
        return Opinion(Call.PROMOTE, reason, rollout.arms[judgement["arm"]])
    if judgement["stop"]:
        return Opinion(Call.ROLL_BACK, reason, rollout.arms[judgement["stop"][0]])
    if judgement["call"] == Call.ROLL_BACK:
        return Opinion(Call.ROLL_BACK, reason, cause=Cause.NO_WINNER)
    return Opinion(Call.NOT_YET, reason, asks=bool(judgement["asks"]))
