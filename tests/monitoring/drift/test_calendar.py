"""What the calendar explains, and what it says it cannot."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from flywheel.errors import UsageError
from monitoring.drift.calendar import calendar_of, holidays_of

DAY = timedelta(days=1)


def days(first: datetime, count: int) -> list[datetime]:
    return [first + DAY * number for number in range(count)]


def test_a_reference_of_weeks_has_weekdays_and_no_season() -> None:
    terms = calendar_of(days(datetime(2024, 1, 1), 60), DAY).terms()
    assert "weekday 0" in terms
    assert "trend" not in terms


def test_a_reference_of_a_year_has_season_and_trend() -> None:
    terms = calendar_of(days(datetime(2023, 1, 1), 365), DAY).terms()
    assert {"sine 1", "cosine 2", "trend"} <= set(terms)


def test_a_design_has_a_value_for_each_term() -> None:
    for every, count in ((DAY, 400), (timedelta(hours=6), 400), (timedelta(days=7), 60)):
        starts = [datetime(2023, 1, 2) + every * number for number in range(count)]
        calendar = calendar_of(starts, every, "US")
        assert len(calendar.design(starts[-1])) == len(calendar.terms()) == len(calendar.variances())


def test_hours_of_the_day_have_terms() -> None:
    every = timedelta(hours=6)
    starts = [datetime(2024, 1, 1) + every * number for number in range(200)]
    calendar = calendar_of(starts, every)
    assert calendar.slots == 4
    assert not np.array_equal(calendar.design(starts[0]), calendar.design(starts[1]))
    assert np.array_equal(calendar.design(starts[0]), calendar.design(starts[28]))


def test_a_holiday_that_the_reference_has_not_seen_is_named() -> None:
    spring = days(datetime(2024, 3, 1), 60)
    calendar = calendar_of(spring, DAY, "US")
    assert calendar.unseen(datetime(2024, 7, 4), spring) == ["Independence Day"]
    assert calendar.unseen(datetime(2024, 7, 5), spring) == ["day after Independence Day"]
    assert calendar.unseen(datetime(2024, 7, 8), spring) == []
    year = days(datetime(2023, 7, 1), 366)
    assert calendar_of(year, DAY, "US").unseen(datetime(2024, 7, 4), year) == []


def test_a_part_of_a_country_has_its_own_holidays() -> None:
    assert holidays_of("DE-BY", 2024, 2024)[date(2024, 1, 6)] == "Epiphany"
    assert date(2024, 1, 6) not in holidays_of("DE-BE", 2024, 2024)


def test_an_unknown_country_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"'XX' has no public holidays here. Write ISO 3166"):
        holidays_of("XX", 2024, 2024)


def test_times_that_are_only_an_order_have_no_calendar() -> None:
    assert calendar_of(days(datetime(2024, 1, 1), 400), DAY, "US", seasons=False).terms() == ["level"]
