"""How far back losses are judged, and which test rows come before them."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.package import INSIDE, ModelPackage, read_package
from flywheel.profile import Reference
from monitoring.concept.memory import LONG_MEMORY, MEMORY, STEPS, begin_of, unseen_rows
from tests.monitoring.flights_package import USE_CASE, write_model

DAY = timedelta(days=1)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)), st.sampled_from([MEMORY, LONG_MEMORY]))
def test_a_begin_lies_within_the_memory_and_stays_for_a_third_of_it(as_of: datetime, memory: timedelta) -> None:
    begin = begin_of(as_of, memory)
    assert as_of - memory <= begin < as_of - memory + memory / STEPS
    later = [begin_of(as_of + number * DAY, memory) for number in range(memory // STEPS // DAY + 1)]
    assert later == sorted(later)
    assert set(later) <= {begin, begin + memory / STEPS}


def package(folder: Path, rows: int, task: str = "binary") -> ModelPackage:
    """Write one whose sample has 300 of so many test rows."""
    made = write_model(folder, Reference(loss=0.6, standard_error=0.01, rows=rows), USE_CASE | {"task": task})
    sample = pl.DataFrame(
        {
            "scheduled": [datetime(2013, 3, 1) + number * DAY / 10 for number in range(300)],
            "distance": np.full(300, 500.0),
            "prediction": np.full(300, 0.25),
            "label": [number % 4 == 0 for number in range(300)],
        }
    )
    sample.with_columns(pl.col("label").cast(pl.Int8)).write_parquet(made / INSIDE / "reference.parquet")
    return read_package(made)


def test_test_rows_have_the_loss_of_the_model_that_had_not_seen_them(tmp_path: Path) -> None:
    found = unseen_rows("1", package(tmp_path / "whole", 300))
    assert found is not None
    assert found.columns == ["event_time", "loss"]
    assert found["loss"].head(2).to_list() == pytest.approx([-np.log(0.25), -np.log(0.75)])


def test_a_sample_of_more_rows_will_do_and_classes_keep_no_probabilities(tmp_path: Path) -> None:
    part = unseen_rows("1", package(tmp_path / "part", 3_000))
    assert part is not None
    assert part.height == 300
    assert unseen_rows("1", package(tmp_path / "classes", 300, "multiclass")) is None
