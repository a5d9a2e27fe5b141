"""A version's watch: kept from look to look, learned anew where it was made for something else; its share."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flywheel.monitor_spec import Drift
from flywheel.package import INSIDE, ModelPackage, read_package
from flywheel.profile import Reference
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import series_bytes
from monitoring.drift.decision import Verdict, judge
from monitoring.drift.state import watch_from
from monitoring.look.budget import concept_alarms, drift_settings
from monitoring.look.drifting import judge_drift
from tests.monitoring.flights_package import USE_CASE, write_model

FIRST, DAY, PER_DAY = datetime(2013, 1, 1), timedelta(days=1), 40
Package = Callable[[float], ModelPackage]


def rows(first: int, days: int, mean: float = 500.0) -> pl.DataFrame:
    random = np.random.default_rng(first)
    times = [FIRST + (first + number / PER_DAY) * DAY for number in range(days * PER_DAY)]
    return pl.DataFrame({"scheduled": times, "distance": random.normal(mean, 100, len(times))})


@pytest.fixture(scope="module")
def reference() -> Series:
    return profile_rows(rows(0, 60), {"distance": "double"}, "scheduled")


@pytest.fixture
def package(tmp_path: Path, reference: Series) -> Package:
    def make(budget: float) -> ModelPackage:
        document = USE_CASE | {"monitor": {"drift": {"false_alarms_per_year": budget}}}
        folder = write_model(
            tmp_path / f"package-{budget:g}", Reference(loss=0.6, standard_error=0.01, rows=9), document
        )
        (folder / INSIDE / "blocks").write_bytes(series_bytes(reference))
        return read_package(folder)

    return make


def live(reference: Series, days: int, mean: float = 500.0) -> Series:
    return profile_rows(rows(60, days, mean), {"distance": "double"}, "scheduled", scale=reference.scale)


def test_drift_and_the_losses_share_one_budget() -> None:
    settings = Drift(false_alarms_per_year=2)
    assert drift_settings(settings).false_alarms_per_year + concept_alarms(settings) == pytest.approx(2)
    assert drift_settings(settings).least_effect == settings.least_effect


def test_a_look_spends_its_share_and_drift_by_hand_all_of_it(
    package: Package, reference: Series, tmp_path: Path
) -> None:
    found = live(reference, 5)
    looked = judge_drift(package(1.0), found, tmp_path / "1.watch", changed=(), as_of=FIRST + 66 * DAY)
    by_hand = judge(reference, found, Drift())
    assert looked.threshold is not None
    assert by_hand.threshold is not None
    assert looked.threshold == pytest.approx(by_hand.threshold / 0.8)


def test_a_watch_goes_on_where_it_ended_and_another_budget_learns_it_anew(
    package: Package, reference: Series, tmp_path: Path
) -> None:
    state, found = tmp_path / "1.watch", live(reference, 10, mean=650.0)
    usual = package(1.0)
    first = judge_drift(usual, found, state, changed=(), as_of=FIRST + 71 * DAY)
    assert first.verdict is Verdict.DRIFT
    assert len(first.looks) == 10
    again = judge_drift(usual, found, state, changed=(), as_of=FIRST + 71 * DAY)
    assert len(again.looks) == 2  # those that late rows may still change
    wider = judge_drift(package(2.0), found, state, changed=(), as_of=FIRST + 71 * DAY)
    assert len(wider.looks) == 10
    assert wider.threshold == pytest.approx((first.threshold or 0) / 2)
    assert watch_from(state.read_bytes(), "it").settings.false_alarms_per_year == pytest.approx(1.6)
