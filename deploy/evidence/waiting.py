"""What of a rollout waits for its other half, and for how long. Pure."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl

from deploy.evidence.arms import BASELINE, CANARY
from deploy.evidence.plan import EvidencePlan
from deploy.evidence.reader import Rows
from deploy.evidence.seen import Seen
from flywheel.meeting import Meeting, kept_since

# What is that much older than the log's newest rows has lost its other half with some process.
LATE = timedelta(minutes=10)
# Stands before what the shadow's record says.
SHADOW = "shadow."
# By what the two sides meet, and since when a row of each waits.
DELIVERED = Meeting(("request_id", "attempt"), ("recorded_time", "time"), within=("row",))
PAIRED = Meeting(("request_id", "row"), ("recorded_time", f"{SHADOW}recorded_time"))
ATTEMPTED = Meeting(("request_id",), ("time", f"{SHADOW}recorded_time"))
JUDGED = Meeting(("prediction_id",), ("recorded_time", "learned_time"))
# A unit, or a request where the split is not sticky.
KEY = "key"


@dataclass(frozen=True)
class Waiting:
    """What waits, after some position of the log.

    Args:
        delivered: Scored records, and the lines of requests that clients got an answer to.
        paired: The champion's answers, and the shadow's records.
        attempted: The champion's lines, and the shadow's first rows, failed ones too.
        judged: Pairs, and the champion's answers with an outcome.
        answers: All within the horizon; `known` says which have their outcome.
        outcomes: Whose answer is not there yet.
        counted: Units (or requests of several rows) that have given their value.
        censored: Answers let go without an outcome, of the champion and of the challenger.
        seen: Newest time of records and of lines.
    """

    delivered: Meeting = DELIVERED
    paired: Meeting = PAIRED
    attempted: Meeting = ATTEMPTED
    judged: Meeting = JUDGED
    answers: pl.DataFrame | None = None
    outcomes: pl.DataFrame | None = None
    counted: Seen = field(default_factory=Seen)
    censored: tuple[int, int] = (0, 0)
    seen: tuple[datetime | None, datetime | None] = (None, None)

    def having_seen(self, rows: Rows) -> "Waiting":
        """Take the times of new rows."""
        records, lines = self.seen
        newest = _later(records, rows.records["recorded_time"].max()), _later(lines, rows.lines["time"].max())
        return replace(self, seen=newest)

    def without_late(self, plan: EvidencePlan) -> "Waiting":
        """Let go of what will meet nothing any more."""
        begin, horizon = self._begins(plan)
        waiting = replace(
            self,
            delivered=self.delivered.since(begin, begin),
            paired=self.paired.since(begin, begin),
            attempted=self.attempted.since(begin, begin),
            judged=self.judged.since(horizon, begin),
            outcomes=kept_since(self.outcomes, "recorded_time", begin),
            answers=kept_since(self.answers, "recorded_time", horizon),
        )
        gone = [was - now for was, now in zip(_unknown(self.answers), _unknown(waiting.answers), strict=True)]
        return replace(waiting, censored=(self.censored[0] + gone[0], self.censored[1] + gone[1]))

    def outcomes_shown(self, plan: EvidencePlan) -> dict[str, dict[str, int]]:
        """Return, by side, answers that wait for their outcome, and those that have got none within the horizon."""
        _, horizon = self._begins(plan)
        left, over = _unknown(self.answers), _unknown(self.answers, horizon) if horizon else (0, 0)
        return {
            side: {"waiting": left[place] - over[place], "censored": self.censored[place] + over[place]}
            for place, side in enumerate((BASELINE, CANARY))
        }

    def _begins(self, plan: EvidencePlan) -> tuple[datetime | None, datetime | None]:
        """Return since when a half is waited for, and an outcome; by the table of the log that is behind."""
        records, lines = self.seen
        if records is None or lines is None:
            return None, None
        begin = min(records, lines) - LATE
        return begin, None if plan.horizon is None else begin - plan.horizon


def _unknown(answers: pl.DataFrame | None, before: datetime | None = None) -> tuple[int, int]:
    """Count the answers (n, …) without an outcome, of the champion and of the challenger; all, or those of before."""
    if answers is None:
        return 0, 0
    open_ones = ~answers["known"] if before is None else ~answers["known"] & (answers["recorded_time"] < before)
    return int((open_ones & (answers["side"] == BASELINE)).sum()), int((open_ones & (answers["side"] == CANARY)).sum())


def _later(one: datetime | None, other: object) -> datetime | None:
    return max((time for time in (one, other) if isinstance(time, datetime)), default=None)
