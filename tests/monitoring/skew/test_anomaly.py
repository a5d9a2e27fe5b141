"""A row is unusual by its values, by pairs of them, by rare categories and by what is missing; usual rows are not."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from flywheel.contract import Column, Contract
from flywheel.profile import DataProfile
from monitoring.skew.anomaly import RowScorer
from training.checks.profiling import profile_data

CONTRACT = Contract(
    columns=(
        Column(name="scheduled", type="datetime", nullable=False),
        Column(name="temp", type="double", nullable=True),
        Column(name="dewp", type="double", nullable=True),
        Column(name="carrier", type="string", nullable=True),
    ),
    event_time="scheduled",
    entity=None,
)


def rows(count: int, seed: int) -> pl.DataFrame:
    """Dew point follows temperature; nearly all fly with A or B."""
    random = np.random.default_rng(seed)
    temp = random.normal(60, 10, count)
    return pl.DataFrame(
        {
            "scheduled": [datetime(2013, 1, 1) + timedelta(minutes=10 * number) for number in range(count)],
            "temp": temp,
            "dewp": temp - 10 + random.normal(0, 2, count),
            "carrier": random.choice(["A", "B", "C"], count, p=[0.6, 0.39, 0.01]),
        }
    )


@pytest.fixture(scope="module")
def scorer() -> RowScorer:
    return RowScorer.make(profile_data(rows(20_000, 1), CONTRACT, "scheduled"), rows(5_000, 2))


def one(**changes: object) -> pl.DataFrame:
    usual = {"scheduled": datetime(2013, 2, 1), "temp": 60.0, "dewp": 50.0, "carrier": "A"}
    schema = {"scheduled": pl.Datetime("us"), "temp": pl.Float64(), "dewp": pl.Float64(), "carrier": pl.String()}
    return pl.from_dicts([usual | changes], schema=schema)


def test_about_one_usual_row_in_a_thousand_is_called_unusual(scorer: RowScorer) -> None:
    found = scorer.score(rows(50_000, 3))
    assert len(found.unusual()) / 50_000 == pytest.approx(0.001, abs=0.001)
    assert (found.scores[found.unusual()] > scorer.threshold).all()


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        pytest.param({"temp": 500.0, "dewp": 490.0}, "temp", id="far out"),
        pytest.param({"temp": 75.0, "dewp": 35.0}, "dewp", id="each usual, not together"),
        pytest.param({"carrier": "Z"}, "carrier", id="never seen"),
        pytest.param({"temp": None}, "temp", id="never missing"),
        pytest.param({"dewp": float("nan")}, "dewp", id="not a number"),
    ],
)
def test_an_unusual_row_is_found_and_its_column_named(
    scorer: RowScorer, changes: dict[str, object], column: str
) -> None:
    found = scorer.score(one(**changes))
    assert found.unusual() == [0]
    assert column in found.why(0, most=2)


def test_a_usual_row_is_usual_and_the_more_extreme_the_higher(scorer: RowScorer) -> None:
    assert scorer.score(one()).unusual() == []
    scores = [float(scorer.score(one(temp=60.0 + far, dewp=50.0 + far)).scores[0]) for far in (0, 20, 60, 200, 2_000)]
    assert scores == sorted(scores)


def test_a_column_that_is_not_sent_is_missing(scorer: RowScorer) -> None:
    assert "carrier" in scorer.score(one().drop("carrier")).why(0)
    assert scorer.score(one().head(0)).unusual() == []


def test_a_profile_of_a_single_number_needs_no_pairs() -> None:
    contract = Contract(columns=CONTRACT.columns[:2], event_time="scheduled", entity=None)
    profile: DataProfile = profile_data(rows(5_000, 1).select("scheduled", "temp"), contract, "scheduled")
    scorer = RowScorer.make(profile, rows(2_000, 2))
    assert scorer.score(one(temp=1_000.0)).unusual() == [0]
    assert scorer.score(one()).unusual() == []
