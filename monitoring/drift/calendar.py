"""What the calendar explains of a block: weekday, hour, holidays; season and trend where the reference spans a year.

Each is a term of a regression with a prior so wide that the reference decides. A holiday that the reference has not
seen is as uncertain as its prior says, so it cannot alarm, and it is named as unseen.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import holidays
import numpy as np

from flywheel.errors import UsageError
from flywheel.statistics import Floats

DAY, WEEK, YEAR = timedelta(days=1), timedelta(days=7), timedelta(days=365.25)
WHOLE_YEAR = timedelta(days=360)  # a reference that lacks a few days of a year has still seen its season
HARMONICS = 2
# Prior variances over the variance of the stream from block to block: standard deviations of 10, and 5.
LEVEL, EFFECT = 100.0, 25.0
YEARS_AHEAD = 3


@dataclass(frozen=True)
class Calendar:
    """The terms of a series of blocks.

    Args:
        every: The length of a block.
        origin: Where the trend is 0.
        slots: Blocks a day, where there are up to 24; 1 for days and longer.
        weekdays: Whether weekdays have terms of their own.
        yearly: Whether the reference spans a year, so that season and trend have terms.
        holidays: Names that have a term each.
        days: The name of the holiday by date.
    """

    every: timedelta
    origin: datetime
    slots: int = 1
    weekdays: bool = True
    yearly: bool = False
    holidays: tuple[str, ...] = ()
    days: tuple[tuple[date, str], ...] = ()

    def terms(self) -> list[str]:
        """Name the terms, in the order of `design`."""
        names = ["level"]
        names += [f"weekday {number}" for number in range(7)] if self.weekdays else []
        names += [f"hour {number}" for number in range(self.slots)] if self.slots > 1 else []
        names += [f"{wave} {turn}" for turn in range(1, HARMONICS + 1) for wave in ("sine", "cosine")] * self.yearly
        return [*names, *["trend"] * self.yearly, *self.holidays]

    def variances(self) -> Floats:
        """Return the prior variance of each term, (n_terms,)."""
        return np.array([LEVEL, *[EFFECT] * (len(self.terms()) - 1)])

    def design(self, start: datetime) -> Floats:
        """Return the terms of the block that begins at `start`, (n_terms,)."""
        row = [1.0]
        if self.weekdays:
            row += [float(start.weekday() == number) - 1 / 7 for number in range(7)]
        if self.slots > 1:
            slot = (start - datetime.combine(start.date(), datetime.min.time())) // self.every
            row += [float(slot == number) - 1 / self.slots for number in range(self.slots)]
        if self.yearly:
            turn = 2 * math.pi * ((start - self.origin) / YEAR)
            row += [wave(number * turn) for number in range(1, HARMONICS + 1) for wave in (math.sin, math.cos)]
            row.append((start - self.origin) / YEAR)
        return np.array([*row, *self._holidays(start)])

    def unseen(self, start: datetime, reference: Iterable[datetime]) -> list[str]:
        """Name the holidays of a block that no block of the reference had."""
        here = [name for name, share in zip(self.holidays, self._holidays(start), strict=True) if share]
        if not here:
            return []
        seen = {
            name
            for moment in reference
            for name, share in zip(self.holidays, self._holidays(moment), strict=True)
            if share
        }
        return [name for name in here if name not in seen]

    def _holidays(self, start: datetime) -> list[float]:
        if not self.holidays:
            return []
        named, length = dict(self.days), max(self.every // DAY, 1)
        inside = [named.get(start.date() + DAY * number) for number in range(length)]
        return [inside.count(name) / length for name in self.holidays]


def calendar_of(
    starts: Sequence[datetime], every: timedelta, country: str | None = None, *, seasons: bool = True
) -> Calendar:
    """Choose the terms that a reference can tell of.

    Args:
        starts: Of its blocks, at least one.
        every: The length of a block.
        country: Whose holidays are days of their own (ISO 3166, with a part of it after a dash), None for none.
        seasons: Whether times are times, and not merely an order.

    Raises:
        UsageError: There is no such country.
    """
    first, span = starts[0], starts[-1] - starts[0] + every
    if not seasons:
        return Calendar(every, first, weekdays=False)
    days = holidays_of(country, first.year, starts[-1].year + YEARS_AHEAD) if country and every <= WEEK else {}
    slots = DAY // every if every < DAY and DAY % every == timedelta(0) and DAY // every <= 24 else 1
    return Calendar(
        every,
        first,
        slots,
        weekdays=every <= DAY and span >= 2 * WEEK,
        yearly=span >= WHOLE_YEAR,
        holidays=tuple(sorted(set(days.values()))),
        days=tuple(sorted(days.items())),
    )


def holidays_of(country: str, first_year: int, last_year: int) -> dict[date, str]:
    """Return the name of each public holiday from one year to another, both included, and of the days beside them.

    People who have a holiday off travel the day before, and take the day after off too.

    Raises:
        UsageError: There is no such country.
    """
    code, _, part = country.partition("-")
    try:
        found = holidays.country_holidays(code, subdiv=part or None, years=range(first_year, last_year + 1))
    except NotImplementedError as fault:
        raise UsageError(
            f"country '{country}' has no public holidays here. Write ISO 3166, such as US or DE-BY."
        ) from fault
    named = {day: name.removesuffix(" (observed)") for day, name in found.items()}
    beside: dict[date, str] = {}
    for day, name in named.items():
        beside |= {day - DAY: f"day before {name}", day + DAY: f"day after {name}"}
    return beside | named
