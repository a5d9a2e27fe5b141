"""A version's first live days: large moves that training's own days did not make are told, the season's are not."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.column_rules import ColumnType
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import DAY, Series
from flywheel.statistics import Floats
from monitoring.skew.release import FIRST, Release, is_new, judge_release

BEGIN, LIVE = datetime(2013, 1, 1), datetime(2013, 4, 1)
DAYS, PER_DAY = 90, 40
KINDS: dict[str, ColumnType] = {"distance": "double", "carrier": "string", "seen": "datetime"}


def rows(first: datetime, means: Floats, random: np.random.Generator, carrier: float = 0.9) -> pl.DataFrame:
    """Days of rows whose distance has one mean a day."""
    count = len(means) * PER_DAY
    times = [first + DAY * (number / PER_DAY) for number in range(count)]
    return pl.DataFrame(
        {
            "at": times,
            "distance": np.repeat(means, PER_DAY) + random.normal(0, 1, count),
            "carrier": np.where(random.uniform(size=count) < carrier, "AA", "UA"),
            "seen": times,
        }
    )


@pytest.fixture(scope="module")
def random() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def reference(random: np.random.Generator) -> Series:
    return profile_rows(rows(BEGIN, np.zeros(DAYS), random), KINDS, "at").published()


def served(reference: Series, frame: pl.DataFrame) -> Series:
    return profile_rows(frame, {}, "at", scale=reference.scale)


def judged(reference: Series, frame: pl.DataFrame, days: float = 30) -> Release | None:
    return judge_release("3", reference, served(reference, frame), LIVE + timedelta(days=days))


def test_days_like_those_of_training_are_said_to_be_so(reference: Series, random: np.random.Generator) -> None:
    found = judged(reference, rows(LIVE, np.zeros(20), random))
    assert found is not None
    assert (found.moved, found.rows, found.end) == ((), FIRST * PER_DAY, LIVE + FIRST * DAY)
    assert found.reason == "The first 7 days of version 3 (280 rows) are like its training rows in all 3 columns."


def test_each_column_that_moved_is_told_the_farthest_first(reference: Series, random: np.random.Generator) -> None:
    frame = rows(LIVE, np.full(9, 1.2), random, carrier=0.2)
    found = judged(reference, frame)
    assert found is not None
    assert [one.column for one in found.moved] == ["distance", "carrier"]
    assert found.reason.startswith("The first 7 days of version 3 (280 rows) are unlike its training rows in 2 of 3")
    assert "'carrier' has other values" in found.reason
    assert found.body()["moved"][0]["column"] == "distance"


def test_a_column_that_comes_empty_is_told(reference: Series, random: np.random.Generator) -> None:
    frame = rows(LIVE, np.zeros(7), random).with_columns(seen=pl.lit(None, pl.Datetime("us")))
    found = judged(reference, frame)
    assert found is not None
    assert [one.reason for one in found.moved] == ["'seen' is missing in 100% of the rows, in training in 0%."]


def test_later_days_are_not_looked_at_and_days_that_are_not_over_wait(
    reference: Series, random: np.random.Generator
) -> None:
    means = np.concatenate([np.zeros(FIRST), np.full(20, 3.0)])
    found = judged(reference, rows(LIVE, means, random))
    assert found is not None
    assert found.moved == ()
    half = judged(reference, rows(LIVE, np.full(7, 3.0), random), days=3.5)
    assert half is not None
    assert half.reason.startswith("The first 3 days of version 3 (120 rows) are unlike")


def test_too_few_rows_say_nothing_yet(reference: Series, random: np.random.Generator) -> None:
    assert judged(reference, rows(LIVE, np.full(2, 3.0), random)) is None


def test_what_weeks_of_training_did_as_well_is_no_news(random: np.random.Generator) -> None:
    seasons = np.repeat([0.0, 2.0, 0.0, -2.0, 0.0, 2.0], DAYS // 6)
    reference = profile_rows(rows(BEGIN, seasons, random), KINDS, "at").published()
    same, more = (judged(reference, rows(LIVE, np.full(7, mean), random)) for mean in (1.8, 15.0))
    assert same is not None
    assert more is not None
    assert same.moved == ()
    assert [one.column for one in more.moved] == ["distance"]


def test_a_version_is_new_while_its_first_days_come_in_or_change(
    reference: Series, random: np.random.Generator
) -> None:
    live = served(reference, rows(LIVE, np.zeros(30), random))
    assert is_new(live, set(), LIVE + 9 * DAY)
    assert not is_new(live, {LIVE + 8 * DAY}, LIVE + 10 * DAY)
    assert is_new(live, {LIVE + 6 * DAY}, LIVE + 30 * DAY)


def test_days_that_resemble_each_other_are_rarely_taken_for_a_change() -> None:
    """Five columns whose days share an effect (variance .3 of a row's) that lasts (.5): one alarm of sixty at most."""
    random, alarms, releases = np.random.default_rng(11), 0, 60
    names = [f"x{number}" for number in range(5)]
    kinds: dict[str, ColumnType] = dict.fromkeys(names, "double")
    for _ in range(releases):
        effects = np.zeros((DAYS + FIRST, len(names)))
        for day in range(1, len(effects)):
            effects[day] = 0.5 * effects[day - 1] + random.normal(0, np.sqrt(0.3 * 0.75), len(names))
        values = np.repeat(effects, PER_DAY, axis=0) + random.normal(0, 1, (len(effects) * PER_DAY, len(names)))
        times = pl.Series("at", [BEGIN + DAY * (number / PER_DAY) for number in range(len(values))])
        frame = pl.DataFrame(values, schema=names).with_columns(times)
        reference = profile_rows(frame.head(DAYS * PER_DAY), kinds, "at").published()
        live = profile_rows(frame.tail(FIRST * PER_DAY), {}, "at", scale=reference.scale)
        found = judge_release("1", reference, live, LIVE + 30 * DAY)
        assert found is not None
        alarms += bool(found.moved)
    assert alarms <= 1
