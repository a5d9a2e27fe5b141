"""Which history a training gets, by what a use case says."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.errors import UsageError
from flywheel.monitor_spec import Retrain
from monitoring.retraining.rows import LEAST_HISTORY, choose_live_rows, choose_rows, daily_means

NOW, FIRST = datetime(2013, 8, 1), datetime(2013, 1, 1)
DAY = timedelta(days=1)


def test_all_sliding_and_weighted_say_what_they_are() -> None:
    everything = choose_rows(Retrain(), NOW, FIRST, np.empty(0))
    assert (everything.start, everything.half_life) == (None, None)
    sliding = choose_rows(Retrain(rows="sliding", length=90 * DAY), NOW, FIRST, np.empty(0))
    assert (sliding.start, sliding.half_life, sliding.sentence) == (NOW - 90 * DAY, None, "the last 90 days")
    weighted = choose_rows(Retrain(rows="weighted", half_life=60 * DAY), NOW, FIRST, np.empty(0))
    assert (weighted.start, weighted.half_life) == (None, 60 * DAY)


def test_a_change_is_where_history_begins_unless_it_is_too_young() -> None:
    policy = Retrain(rows="change_point")
    for place in (100, 195):
        daily = np.random.default_rng(4).normal(0, 0.1, 212)
        daily[place:] += 1
        window = choose_rows(policy, NOW, FIRST, daily)
        assert window.start == min(FIRST + place * DAY, NOW - LEAST_HISTORY)
        assert "the last change" in window.sentence
    assert choose_rows(policy, NOW, FIRST, np.random.default_rng(5).normal(0, 1, 212)).start is None


def test_a_policy_without_its_length_is_refused() -> None:
    incomplete = Retrain().model_copy(update={"rows": "sliding"})
    with pytest.raises(UsageError, match="sliding needs `length`"):
        choose_rows(incomplete, NOW, FIRST, np.empty(0))


def test_daily_means_leave_a_gap_where_there_was_no_row() -> None:
    found = daily_means(np.array([1.0, 3.0, 5.0]), np.array([10, 10, 12]))
    assert found[0] == 2
    assert np.isnan(found[1])
    assert found[2] == 5


def test_live_a_change_is_looked_for_in_the_outcomes_of_the_log() -> None:
    random = np.random.default_rng(6)
    times = [FIRST + timedelta(hours=number) for number in range(24 * 200)]
    late = (random.random(len(times)) < np.where(np.arange(len(times)) < 24 * 120, 0.2, 0.8)).astype(float)
    labelled = pl.DataFrame({"event_time": times, "outcome": late})
    window = choose_live_rows(Retrain(rows="change_point"), NOW, labelled)
    assert window.start is not None
    assert abs(window.start - (FIRST + 120 * DAY)) <= 2 * DAY
    names = labelled.with_columns(outcome=pl.lit("rain"))
    assert choose_live_rows(Retrain(rows="change_point"), NOW, names).start is None
    assert choose_live_rows(Retrain(), NOW, pl.DataFrame()).start is None
