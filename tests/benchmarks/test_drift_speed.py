from pathlib import Path

import pytest

from benchmarks.drift_speed import goals_of
from benchmarks.drift_speed_history import history_rows
from benchmarks.drift_speed_judge import flywheel, memory, training
from benchmarks.drift_speed_rows import DAYS, draw, write


def test_rows_are_the_same_for_a_seed_and_spread_over_all_days() -> None:
    rows = draw(900, DAYS, seed=3)
    assert rows.equals(draw(900, DAYS, seed=3))
    assert not rows.equals(draw(900, DAYS, seed=4))
    assert rows["at"].dt.date().n_unique() == DAYS
    assert rows["x0"].is_nan().any()


def test_flywheel_judges_by_the_profile_that_training_wrote(tmp_path: Path) -> None:
    files = write(tmp_path, 4500)
    assert training(*files)().endswith("kB")
    files[0].unlink()
    assert flywheel(*files)() in ("quiet", "drift")
    held = memory("VmRSS")
    assert memory("VmHWM") >= held > 0


def test_one_more_day_is_measured_from_the_log_to_the_decision(tmp_path: Path) -> None:
    (row,) = history_rows(tmp_path, (5,))
    assert row["blocks"] == 5
    assert row["cpu_seconds"] > 0


@pytest.mark.parametrize(("ours", "met"), [(1.0, [True, True, True]), (3.0, [False, False, True])])
def test_goals_are_ratios_of_cpu(ours: float, met: list[bool]) -> None:
    one = {"cpu_seconds": ours, "extra_mb": 100.0}
    found = goals_of(one, {"cpu_seconds": 60.0}, {"cpu_seconds": 30.0})
    assert [goal.met for goal in found] == met
    assert found[0].value == 60.0 / ours
