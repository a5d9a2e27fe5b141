"""The worst part is named when it is surely worse, and none is where all are alike."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from monitoring.performance.measure import LOG_LOSS
from monitoring.performance.slices import MOST_PARTS, judge_slices

START = datetime(2013, 4, 1)


def window(random: np.random.Generator, *, rows: int = 3_000, bad: float = 0.0, effect: float = 0.1) -> pl.DataFrame:
    """Ten carriers whose days have effects of their own; carrier c3 loses more by `bad`."""
    day, carrier = random.integers(0, 30, rows), random.integers(0, 10, rows)
    effects = random.normal(0, effect, (30, 10)) + random.normal(0, effect, 30)[:, None]
    loss = 0.5 + effects[day, carrier] + random.normal(0, 0.3, rows) + bad * (carrier == 3)
    return pl.DataFrame(
        {
            "event_time": [START + timedelta(days=int(number)) for number in day],
            "carrier": [f"c{number}" for number in carrier],
            "distance": random.normal(500, 100, rows),
            "hour": random.integers(0, 4, rows),
            "loss": loss,
        }
    )


def test_the_worst_part_is_named_with_what_it_was_on_the_reference() -> None:
    random = np.random.default_rng(1)
    found = judge_slices(window(random, bad=0.3), ["carrier", "distance"], LOG_LOSS, window(random))
    assert found.worst is not None
    assert (found.worst.column, found.worst.value) == ("carrier", "c3")
    assert found.worst.excess == pytest.approx(0.3, abs=0.1)
    assert found.worst.low < found.worst.excess < found.worst.high
    assert found.worst.reference == pytest.approx(0.5, abs=0.1)
    assert found.reason.startswith("The worst of 14 parts is carrier = c3: Log-loss 0.")
    assert "on the reference it was" in found.reason


def test_where_all_are_alike_some_part_is_called_worst_once_in_twenty_times_at_most() -> None:
    named = sum(
        judge_slices(window(np.random.default_rng([2, seed])), ["carrier", "distance", "hour"], LOG_LOSS).worst
        is not None
        for seed in range(200)
    )
    assert named <= 15  # of one side: about 5 are due, days of a carrier being few


def test_a_number_of_few_values_is_its_own_parts_and_others_fall_into_quarters() -> None:
    found = judge_slices(window(np.random.default_rng(3)), ["hour", "distance", "nothing"], LOG_LOSS)
    assert sorted(part.value for part in found.parts if part.column == "hour") == ["0", "1", "2", "3"]
    assert len([part for part in found.parts if part.column == "distance"]) == 4
    assert {part.column for part in found.parts} == {"hour", "distance"}


def test_a_column_of_keys_is_cut_short_and_missing_values_are_a_part() -> None:
    rows = window(np.random.default_rng(4), rows=9_000).with_columns(
        key=(pl.int_range(pl.len()) % 200).cast(pl.String),
        gate=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("A")),
    )
    found = judge_slices(rows, ["key", "gate"], LOG_LOSS)
    assert len([part for part in found.parts if part.column == "key"]) == MOST_PARTS
    assert sorted(part.value for part in found.parts if part.column == "gate") == ["A", "missing"]


def test_no_rows_and_no_columns_are_no_fault() -> None:
    rows = window(np.random.default_rng(5))
    assert judge_slices(rows, [], LOG_LOSS).parts == ()
    assert judge_slices(rows.head(0), ["carrier"], LOG_LOSS).worst is None
    one = judge_slices(rows.with_columns(carrier=pl.lit("only")), ["carrier"], LOG_LOSS)
    assert one.worst is None
    assert one.parts[0].excess == 0
