"""Seattle: the label is tomorrow's, and the last day has none."""

from datetime import datetime
from pathlib import Path

import polars as pl

from flywheel.modules import load_module
from flywheel.usecase import load_usecase
from training.data.features import check_rows_alone, load_features
from training.sources.rows import input_columns, load_rows

FOLDER = Path(__file__).parents[2] / "examples" / "seattle-rain"


def days() -> pl.DataFrame:
    loaded = load_module(FOLDER / "source.py", "source").load(None)
    assert isinstance(loaded, pl.DataFrame)
    return loaded


def test_the_label_is_tomorrows_rain() -> None:
    frame = days()
    assert frame.height == 1461
    assert frame["rain_tomorrow"].to_list()[:3] == [1, 1, 1]
    assert (frame["precipitation"][0], frame["precipitation"][1]) == (0.0, 10.9)
    assert frame["rain_tomorrow"][-1] is None
    assert frame["rain_tomorrow"].null_count() == 1


def test_a_day_is_measured_when_it_is_over_and_judged_a_day_later() -> None:
    usecase = load_usecase(FOLDER / "usecase.yaml")
    rows = load_rows(usecase.data, FOLDER, datetime(2012, 1, 4))
    assert rows["day"].to_list() == ["2012/01/01", "2012/01/02"]
    assert rows["rain_tomorrow"].to_list() == [1, 1]


def test_features_see_each_row_alone() -> None:
    usecase = load_usecase(FOLDER / "usecase.yaml")
    frame = days()
    check_rows_alone(load_features(FOLDER / "features.py"), frame.select(input_columns(frame, usecase.data)), seed=1)
