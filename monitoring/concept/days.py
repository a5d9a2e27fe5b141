"""The same test where rows of a day resemble each other: one loss a day, and days that resemble the days before.

A test that counts rows takes a day of bad weather for thousands of proofs. Here the mean of a day is one observation;
what a day shares with the seven before it (weather that lasts, weekdays) is learned and taken out. A day with far fewer
rows than usual waits for the next, so that no handful of rows is taken for a day. Where a version's test rows are at
hand, they come first: what is usual is known before the first answer, which a use case of a few rows a day needs.
"""

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from flywheel.statistics import Floats
from monitoring.concept.effects import Plan
from monitoring.concept.finding import Finding, Verdict
from monitoring.concept.losses import FEWEST, Integers, LossTest

DAYS_A_YEAR = 365.25
EPOCH = date(1970, 1, 1)
LEAST_ROWS = 30  # of a day, at most: with more rows its mean is tame, whatever is usual
LEAST_SHARE = 0.5  # of the rows of a usual day
USUAL_DAYS = 28  # the first ones, whose median is what is usual: later days then change no earlier ones
NO_DAYS = pl.DataFrame(schema={"day": pl.Date, "rows": pl.Int64, "total": pl.Float64})


@dataclass(frozen=True)
class Days:
    """What the days say.

    Attributes:
        alarms: Changes found, in order of time.
        now: How things stand after the last of them.
        tested: How many days, the first ones, are of test rows.
    """

    alarms: tuple[Finding, ...]
    now: Finding
    tested: int = 0

    @property
    def newest(self) -> Finding:
        """The newest alarm, or how things stand when there is none."""
        return self.alarms[-1] if self.alarms else self.now

    def body(self) -> dict[str, Any]:
        """Return it as plain values, for an event; marks are days since 1970."""
        return {"alarms": [alarm.body() for alarm in self.alarms], "now": self.now.body(), "tested": self.tested}


def plan_by_day(name: str, false_alarms_per_year: float, share: float = 1.0) -> Plan:
    """Return the plan for means of days.

    Args:
        name: Of the mean loss, such as log-loss.
        false_alarms_per_year: At most so many on average.
        share: Of all days that count as one (0 to 1): where there is one in ten, a year has as many chances less.
    """
    per_alarm = max(share * DAYS_A_YEAR / false_alarms_per_year, 1.0)
    return Plan(per_false_alarm=per_alarm, whiten=True, name=name, unit="days", positive=True)


def judge_days(daily: pl.DataFrame, name: str, false_alarms_per_year: float, *, tested: pl.DataFrame = NO_DAYS) -> Days:
    """Judge the mean losses of days, from the first to the last.

    Args:
        daily: What `monitoring.performance.realised.by_day` returns: `day`, `rows`, `total`, in order of time. Days
            that are not over or not labelled yet are the caller's to leave out.
        name: Of the mean loss, such as log-loss.
        false_alarms_per_year: At most so many on average.
        tested: The same of test rows, all of them earlier.
    """
    least = least_rows(pl.concat([tested, daily]))
    before, after = pooled(tested, least), pooled(daily, least)
    days = before.height + after.height
    share = min(days / max(_span(before) + _span(after), 1), 1.0)
    test = LossTest(plan_by_day(name, false_alarms_per_year, share or 1.0), told=tell_day)
    test.observe(*_means(before))  # whatever changed among them is no news of what is live
    alarms = test.observe(*_means(after))
    return Days(alarms, _foretold(test.finding(), share), before.height)


def least_rows(daily: pl.DataFrame) -> int:
    """Return how many rows a day needs to count as one: half of what is usual."""
    usual = daily["rows"].head(USUAL_DAYS).median()
    return int(min(max(LEAST_SHARE * usual, 1), LEAST_ROWS)) if isinstance(usual, float) else 1


def pooled(daily: pl.DataFrame, least: int) -> pl.DataFrame:
    """Join days with the next until they hold enough rows; what is left at the end waits.

    Args:
        daily: `day`, `rows`, `total`, in order of time.
        least: Rows.

    Returns:
        The same columns; `day` is the last of each.
    """
    block, held, blocks = 0, 0, []
    for rows in daily["rows"].to_list():
        blocks.append(block)
        held += rows
        if held >= least:
            block, held = block + 1, 0
    return (
        daily.with_columns(pl.Series("block", blocks, dtype=pl.Int64))
        .filter(pl.col("block") < block)
        .group_by("block", maintain_order=True)
        .agg(pl.col("day").last(), pl.col("rows").sum(), pl.col("total").sum())
        .drop("block")
    )


def _means(blocks: pl.DataFrame) -> tuple[Floats, Integers]:
    return (blocks["total"] / blocks["rows"]).to_numpy(), day_numbers(blocks["day"])


def _span(blocks: pl.DataFrame) -> int:
    """Return how many days lie from the first to the last, both included."""
    marks = day_numbers(blocks["day"])
    return int(marks[-1] - marks[0]) + 1 if len(marks) else 0


def _foretold(now: Finding, share: float) -> Finding:
    """Add from when on there will be days enough, where there are too few."""
    if now.verdict is not Verdict.LEARNING or now.at_mark is None or not share:
        return now
    waits = math.ceil((FEWEST - now.before.count) / share)
    return replace(now, reason=f"{now.reason} That will be about {tell_day(now.at_mark + waits)}.")


def day_numbers(days: pl.Series) -> Integers:
    """Return days as marks: how many since 1970, (n_days,)."""
    return days.cast(pl.Date).to_physical().to_numpy().astype(np.int64)


def tell_day(mark: int) -> str:
    """Write a mark of `day_numbers` for a sentence."""
    return (EPOCH + timedelta(days=mark)).isoformat()
