"""Rules on the frame as a whole: how many rows there are, how new they are, and how many a day."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from flywheel.profile import DataProfile
from flywheel.usecase import Checks
from training.checks.days import time_span
from training.checks.finding import Finding, Verdict
from training.checks.profiling import rows_per_day

MIN_DAYS = 8
UNUSUAL_FACTOR = 3.0  # a weekend has half the rows of other days in many trades, and is not unusual
# Square roots of counts: their deviation is about ½ for any Poisson rate (Anscombe 1948), so 2√n has 1.
UNUSUAL_DEVIATIONS = 6.0


def check_freshness(newest: datetime, as_of: datetime, checks: Checks) -> Iterator[Finding]:
    """Find data whose newest row (naive UTC) is older than the use case allows."""
    if checks.freshness is not None and as_of - newest > checks.freshness:
        sentence = (
            f"The newest row is of {newest} and so {_duration(as_of - newest)} older than {as_of}, more than "
            f"checks.freshness ({_duration(checks.freshness)}) allows. Bring the source up to date."
        )
        yield Finding(None, "freshness", 0, 0.0, "stop", "stop", sentence)


def check_size(clean: int, total: int, checks: Checks) -> Iterator[Finding]:
    """Find a frame with too few clean rows."""
    if clean < checks.min_rows:
        aside = f" after {total - clean:,} of {total:,} were set aside" if clean < total else ""
        noun = "row is" if clean == 1 else "rows are"
        sentence = (
            f"{clean:,} clean {noun} left{aside}, fewer than checks.min_rows ({checks.min_rows:,}). "
            "Widen the source, or correct the rows."
        )
        yield Finding(None, "min_rows", clean, clean / max(total, 1), "stop", "stop", sentence)


def check_volume(times: pl.Series, last: DataProfile, checks: Checks, verdict: Verdict) -> Iterator[Finding]:
    """Find too few rows a day against the last good run; `times` are those of the rows looked at, (n_rows,)."""
    usual = last.rows_per_day.mean
    if checks.volume is None or usual == 0 or times.is_empty():
        return
    counts = rows_per_day(times)
    whole = counts[1:-1] if len(counts) > 2 else counts
    if len(counts) <= 2 and times.len() >= checks.volume * usual:
        return  # parts of days only: enough rows already
    mean = float(whole.mean())
    if mean < checks.volume * usual:
        sentence = (
            f"There are {mean:,.0f} rows a day and were {usual:,.0f} in the last good run: less than checks.volume "
            f"({checks.volume:.0%}) of it. Look for a source that lost rows."
        )
        yield Finding(None, "volume", int(times.len()), mean / usual, verdict, verdict, sentence)


def check_days(times: pl.Series, since: datetime | None, verdict: Verdict) -> Iterator[Finding]:
    """Find whole days after `since` with far more or fewer rows than the median day of all."""
    counts = rows_per_day(times)[1:-1]
    if len(counts) < MIN_DAYS:
        return
    middle = float(np.median(counts))
    roots = 2 * np.sqrt(counts)
    apart = np.abs(roots - 2 * np.sqrt(middle))
    # 1.4826 makes the median absolute deviation that of a normal distribution.
    unit = max(1.4826 * float(np.median(np.abs(roots - np.median(roots)))), 1.0)
    far = (counts * UNUSUAL_FACTOR < middle) | (counts > UNUSUAL_FACTOR * middle)
    first = time_span(times)[0].replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    dates = [first + timedelta(days=int(index)) for index in np.flatnonzero(far & (apart > UNUSUAL_DEVIATIONS * unit))]
    unusual = [day for day in dates if since is None or day > since]
    if unusual:
        named = ", ".join(f"{day:%Y-%m-%d} ({int(counts[(day - first).days]):,})" for day in unusual[:5])
        noun = "day has" if len(unusual) == 1 else "days have"
        sentence = (
            f"{len(unusual)} {noun} an unusual number of rows, where {middle:,.0f} are usual: {named}. "
            "Look for rows that were lost or loaded twice."
        )
        rows = int(sum(counts[(day - first).days] for day in unusual))
        yield Finding(None, "day volume", rows, rows / max(times.len(), 1), verdict, verdict, sentence)


def _duration(span: timedelta) -> str:
    days, hours = span.days, span.seconds // 3600
    return f"{days} d" if days >= 2 or not hours else f"{days * 24 + hours} h"
