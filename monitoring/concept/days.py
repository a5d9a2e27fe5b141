"""The same test where rows of a day resemble each other: one loss a day, and days that resemble the days before.

A test that counts rows takes a day of bad weather for thousands of proofs. Here the mean of a day is one observation;
what a day shares with the seven before it (weather that lasts, weekdays) is learned and taken out.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from monitoring.concept.effects import Plan
from monitoring.concept.finding import Finding
from monitoring.concept.losses import Integers, LossTest

DAYS_A_YEAR = 365.25
EPOCH = date(1970, 1, 1)
LEAST_ROWS = 30  # a day with fewer waits for the next, so that no handful of rows is taken for a day


@dataclass(frozen=True)
class Days:
    """What the days say.

    Attributes:
        alarms: Changes found, in order of time.
        now: How things stand after the last of them.
    """

    alarms: tuple[Finding, ...]
    now: Finding

    @property
    def newest(self) -> Finding:
        """The newest alarm, or how things stand when there is none."""
        return self.alarms[-1] if self.alarms else self.now

    def body(self) -> dict[str, Any]:
        """Return it as plain values, for an event; marks are days since 1970."""
        return {"alarms": [alarm.body() for alarm in self.alarms], "now": self.now.body()}


def plan_by_day(name: str, false_alarms_per_year: float) -> Plan:
    """Return the plan for means of days.

    Args:
        name: Of the mean loss, such as log-loss.
        false_alarms_per_year: At most so many on average.
    """
    return Plan(per_false_alarm=max(DAYS_A_YEAR / false_alarms_per_year, 1.0), whiten=True, name=name, unit="days")


def judge_days(daily: pl.DataFrame, plan: Plan) -> Days:
    """Judge the mean losses of days, from the first to the last.

    Args:
        daily: What `monitoring.performance.realised.by_day` returns: `day`, `rows`, `total`, in order of time. Days
            that are not over or not labelled yet are the caller's to leave out.
        plan: What `plan_by_day` returns.
    """
    blocks = pooled(daily)
    test = LossTest(plan, told=tell_day)
    means = (blocks["total"] / blocks["rows"]).to_numpy()
    return Days(test.observe(means, day_numbers(blocks["day"])), test.finding())


def pooled(daily: pl.DataFrame, least: int = LEAST_ROWS) -> pl.DataFrame:
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


def day_numbers(days: pl.Series) -> Integers:
    """Return days as marks: how many since 1970, (n_days,)."""
    return days.cast(pl.Date).to_physical().to_numpy().astype(np.int64)


def tell_day(mark: int) -> str:
    """Write a mark of `day_numbers` for a sentence."""
    return (EPOCH + timedelta(days=mark)).isoformat()
