"""What is learned from a version's newest outcomes: known and due ones, by what the model said before any shift."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.recalibration import moved
from flywheel.statistics import Floats
from flywheel.usecase import UseCase, parse_usecase
from monitoring.retraining.level import Learned, learn
from monitoring.retraining.recalibration import Recalibration, shift
from monitoring.windows.raw import raw

BEGIN, DAY = datetime(2013, 4, 1), timedelta(days=1)
PER_DAY = 100


def trained(**recalibrate: Any) -> UseCase:
    return parse_usecase(
        {
            "name": "flights",
            "data": {
                "source": {"kind": "csv", "path": "x"},
                "event_time": "t",
                "label": {"column": "y", "available_after": "1d"},
            },
            "monitor": {"min_outcomes": 100, "recalibrate": recalibrate},
        },
        "usecase.yaml",
    )


def records(
    times: list[datetime], served: Floats, outcome: Sequence[float] | Floats, shifts: Floats | None = None
) -> pl.DataFrame:
    """Return answered predictions, as a window of the log has them."""
    return pl.DataFrame(
        {
            "event_time": pl.Series(times, dtype=pl.Datetime("us")),
            "outputs": [{"probability": float(one)} for one in served],
            "outcome": pl.Series(list(outcome), dtype=pl.Float64),
            "shift": pl.Series([None] * len(times) if shifts is None else list(shifts), dtype=pl.Float64),
        }
    )


def days_of(days: int, rate: float = 0.4, said: float = 0.3) -> pl.DataFrame:
    """Return days of answers, of which a share became true."""
    times = [BEGIN + DAY * (number / PER_DAY) for number in range(days * PER_DAY)]
    outcome = [float(number % PER_DAY < rate * PER_DAY) for number in range(days * PER_DAY)]
    return records(times, np.full(len(times), said), outcome)


def asked(rows: pl.DataFrame, as_of: datetime, before: float = 0.0, **recalibrate: Any) -> Learned:
    return learn("3", rows, trained(**recalibrate), before, as_of)


def test_a_level_that_is_too_low_is_raised_by_what_the_backtest_would_raise_it_by() -> None:
    rows, as_of = days_of(10), BEGIN + 11 * DAY
    learned = asked(rows, as_of)
    label = rows["outcome"].to_numpy()
    age = np.array([(as_of.date() - time.date()).days for time in rows["event_time"]])
    assert learned.shift == shift(label, np.full(len(label), 0.3), age, Recalibration(most=1.0), task="binary")
    assert 0 < learned.shift < math.log(0.4 / 0.6) - math.log(0.3 / 0.7)
    assert learned.is_renewed
    assert "1,000 outcomes up to 2013-04-10 have 0.400 ones where 0.300 were foretold" in learned.why


def test_outcomes_that_came_before_they_were_due_are_not_like_the_others_and_wait() -> None:
    as_of = BEGIN + 11 * DAY
    early = days_of(11, rate=1.0).filter(pl.col("event_time") > as_of - DAY)
    rows = days_of(10)
    assert asked(pl.concat([rows, early]), as_of).shift == asked(rows, as_of).shift
    later = asked(pl.concat([rows, early]), as_of + DAY)
    assert later.rows > 1000
    assert later.shift > asked(rows, as_of).shift


def test_rows_without_an_outcome_say_nothing() -> None:
    rows, as_of = days_of(10), BEGIN + 11 * DAY
    unknown = rows.with_columns(outcome=pl.lit(None, pl.Float64))
    assert asked(pl.concat([rows, unknown]), as_of).shift == asked(rows, as_of).shift


@pytest.mark.parametrize(
    ("rows", "as_of", "why"),
    [
        (days_of(1).head(99), BEGIN + 3 * DAY, "99 outcomes of the last 20d are known, and it takes 100"),
        (days_of(10), BEGIN + 15 * DAY, "No outcome is known of anything after 2013-04-10"),
        (days_of(10), BEGIN + 90 * DAY, "0 outcomes of the last 20d"),
    ],
)
def test_too_few_or_old_outcomes_renew_nothing(rows: pl.DataFrame, as_of: datetime, why: str) -> None:
    learned = asked(rows, as_of, before=0.2)
    assert (learned.shift, learned.is_renewed) == (0.2, False)
    assert why in learned.why


@settings(max_examples=40)
@given(st.floats(0.05, 2), st.floats(0, 1), st.floats(0.01, 0.99), st.floats(0, 20))
def test_no_outcomes_move_a_level_beyond_its_bound(most: float, rate: float, said: float, prior: float) -> None:
    learned = asked(days_of(8, rate, said), BEGIN + 9 * DAY, most=most, prior_days=prior)
    assert abs(learned.shift) <= most
    assert learned.is_bounded == (abs(learned.shift) == most)


@settings(max_examples=40)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.01, 0.99))
def test_what_is_learned_does_not_depend_on_what_was_served(one: float, other: float, said: float) -> None:
    plain, half = days_of(8, said=said), 4 * PER_DAY
    shifts = np.repeat([one, other], half)
    served = moved(np.full(2 * half, said), np.exp(-shifts))
    outcome = plain["outcome"].to_numpy()
    shown = records(plain["event_time"].to_list(), served, outcome, shifts)
    assert np.abs(raw(pl.Series("probability", served), shown).to_numpy() - said).max() < 1e-12
    assert asked(shown, BEGIN + 9 * DAY).shift == pytest.approx(asked(plain, BEGIN + 9 * DAY).shift, abs=1e-9)


def test_an_answer_that_was_not_moved_is_what_it_is_to_the_last_bit() -> None:
    served = pl.Series("probability", [0.1, 0.3, 1.0, 0.0])
    rows = pl.DataFrame({"shift": [None, 0.5, None, None]}, schema={"shift": pl.Float64})
    found = raw(served, rows).to_list()
    assert [found[0], *found[2:]] == [0.1, 1.0, 0.0]
    assert found[1] == moved(0.3, math.exp(0.5))
    assert raw(served, pl.DataFrame({"other": [1] * 4})).to_list() == served.to_list()


@pytest.mark.parametrize("truth", [0.5, 2.5, 0.0])
def test_a_year_of_following_itself_settles_and_does_not_run_away(truth: float) -> None:
    """Each day's answers are moved by the last look's shift; outcomes follow a level that is off by `truth`."""
    random, reach = np.random.default_rng(11), 21
    how, shifts, kept = trained(), [0.0], []
    for day in range(365):
        said = random.uniform(0.1, 0.6, PER_DAY)
        outcome = (random.uniform(size=PER_DAY) < moved(said, math.exp(-truth))).astype(float)
        times = [BEGIN + DAY * (day + number / PER_DAY) for number in range(PER_DAY)]
        kept.append(records(times, moved(said, math.exp(-shifts[-1])), outcome, np.full(PER_DAY, shifts[-1])))
        learned = learn("3", pl.concat(kept[-reach:]), how, shifts[-1], BEGIN + (day + 1) * DAY)
        shifts.append(learned.shift)
    said = np.linspace(0.1, 0.6, 1001)
    step = (moved(said, math.exp(-truth)) - said).mean() / (said * (1 - said)).mean()  # of Newton, from no shift
    weight = np.exp2(-np.arange(19) / 2).sum()  # in days, beside the prior's seven
    settled = np.array(shifts[30:])
    assert settled.mean() == pytest.approx(step * weight / (weight + 7), abs=0.02)
    assert settled.std() < 0.04
    assert abs(settled[:150].mean() - settled[-150:].mean()) < 0.02
