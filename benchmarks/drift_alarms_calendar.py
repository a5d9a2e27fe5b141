"""What a calendar saves: a year with holidays and a season of the year, judged with and without knowing of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from benchmarks.drift_worlds import BEGIN, DAY, Shift, World, series_of
from flywheel.monitor_spec import Drift
from flywheel.statistics import Floats
from monitoring.drift.calendar import holidays_of
from monitoring.drift.watch import LEAST_BLOCKS, Watch, learn

COUNTRY = "US"
HOLIDAY, SEASON = 1.0, 0.5  # standard deviations of rows: of a holiday, and of the season between winter and summer
COLUMNS = 5
SEED = 16_000


@dataclass(frozen=True)
class Known:
    """What the reference spans and what is told: `days` of reference, and whose holidays."""

    name: str
    days: int
    country: str | None


CASES = (
    Known("90 days, no holidays told", 90, None),
    Known("90 days, holidays told", 90, COUNTRY),
    Known("two years, no holidays told", 730, None),
    Known("two years, holidays told", 730, COUNTRY),
)


@dataclass(frozen=True)
class CalendarYears:
    """False alarms of one case, and what was said to be unseen."""

    known: Known
    years: int
    alarms: int
    unseen: int

    def row(self) -> dict[str, Any]:
        """Return the case as plain values."""
        return {
            "part": "calendar",
            "case": self.known.name,
            "years": self.years,
            "alarms_a_year": self.alarms / self.years,
            "unseen_holidays_told_a_year": self.unseen / self.years,
        }


def calendar_years(known: Known, runs: int) -> CalendarYears:
    """Let the same years go by in one case."""
    looks = [look for run in range(runs) for look in _year(known, SEED + run)]
    return CalendarYears(known, runs, sum(alarm for alarm, _ in looks), sum(unseen for _, unseen in looks))


def _year(known: Known, seed: int) -> Iterator[tuple[int, int]]:
    """Yield, for each live day, whether there was an alarm and how many of its holidays are unseen."""
    world = World(COLUMNS, 0.05, 0.3, rows=200, reference=730, live=365)
    reference, live = series_of(world, Shift(day=1_000_000, calendar=effects(730 + 365)), seed)
    settings = Drift(country=known.country)
    watch: Watch = learn(replace(reference, blocks=reference.blocks[-known.days :]), settings)
    assert len(watch.reference) >= LEAST_BLOCKS  # noqa: S101
    for block, _ in live:
        look = watch.take(block)
        yield int(look.alarm), len(look.unseen)


def effects(days: int) -> Floats:
    """Return what the calendar adds to every column on each day, (n_days,), in standard deviations of rows."""
    dates = [BEGIN + DAY * number for number in range(days)]
    named = holidays_of(COUNTRY, dates[0].year, dates[-1].year)
    turn = np.array([2 * np.pi * (moment - datetime(moment.year, 1, 1)).days / 365.25 for moment in dates])
    holiday = np.array([float(named.get(moment.date(), "day")[:3] != "day") for moment in dates])
    return np.asarray(HOLIDAY * holiday - SEASON * np.cos(turn))
