"""The champion gate: fair rows, paired differences, and honesty about what cannot be compared."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flywheel.package import INSIDE
from registry.gates.champion import Champion
from registry.gates.evidence import Outcome
from tests.registry.gates.folders import Bench, copy, edited, resample, spoiled


def earlier(document: Any) -> None:
    """Say that a champion was fitted on rows before the candidate's sample only."""
    for part in document["parts"].values():
        part["start"], part["end"] = "2023-01-01T00:00:00", "2023-12-31T00:00:00"


def test_the_first_version_has_no_champion_and_passes(bench: Bench, package: Path) -> None:
    found = bench(Champion(), package)
    assert found.outcome == Outcome.PASS
    assert "no champion" in found.sentence


def test_a_champion_that_knows_none_of_the_rows_is_asked_about_all_of_them(
    bench: Bench, package: Path, tmp_path: Path
) -> None:
    champion = spoiled(package, tmp_path, lineage_json=edited(earlier))
    found = bench(Champion(), package, champion=champion)
    assert found.outcome == Outcome.PASS
    assert found.details is not None
    assert found.details["rows"] == 200
    assert found.value == pytest.approx(0, abs=1e-9)  # both are the same model
    assert "later than all the champion knows" in found.sentence


def test_a_version_that_is_worse_fails_with_its_interval(bench: Bench, package: Path, tmp_path: Path) -> None:
    worse = copy(package, tmp_path)
    resample(worse, "reference.parquet", lambda rows: rows.with_columns(prediction=1 - pl.col("prediction")))
    champion = spoiled(package, tmp_path, lineage_json=edited(earlier))
    found = bench(Champion(), worse, champion=champion)
    assert found.outcome == Outcome.FAIL
    assert found.low is not None
    assert found.low > 0
    assert (found.unit, found.limit) == ("log-loss", 0.0)


def test_a_margin_lets_a_worse_version_pass(bench: Bench, package: Path, tmp_path: Path) -> None:
    worse = copy(package, tmp_path)
    resample(worse, "reference.parquet", lambda rows: rows.with_columns(prediction=1 - pl.col("prediction")))
    assert bench(Champion(), worse, champion=package).outcome == Outcome.FAIL  # on rows that both held out
    assert bench(Champion(), worse, champion=package, champion_margin=5.0).outcome == Outcome.PASS


def test_a_slight_loss_within_noise_is_not_held_against_it(bench: Bench, package: Path, tmp_path: Path) -> None:
    noisy = copy(package, tmp_path)
    shake = pl.when(pl.int_range(pl.len()) % 2 == 0).then(0.03).otherwise(-0.03)
    shaken = (pl.col("prediction") + shake).clip(0.001, 0.999)
    resample(noisy, "reference.parquet", lambda rows: rows.with_columns(prediction=shaken))
    assert bench(Champion(), noisy, champion=package).outcome == Outcome.PASS


def test_rows_that_both_held_out_are_paired_where_the_champion_was_fitted_later(
    bench: Bench, package: Path, tmp_path: Path
) -> None:
    shuffled = copy(package, tmp_path)
    resample(shuffled, "reference.parquet", lambda rows: rows.sample(fraction=1.0, shuffle=True, seed=3)[:150])
    (shuffled / INSIDE / "answers.parquet").unlink()
    found = bench(Champion(), package, champion=shuffled)
    assert found.outcome == Outcome.PASS
    assert found.details is not None
    assert found.details["rows"] == 150
    assert found.value == 0  # each row was paired with itself
    assert "rows that both held out" in found.sentence


def test_a_champion_that_was_fitted_on_the_rows_fails_nobody(bench: Bench, package: Path, tmp_path: Path) -> None:
    worse, champion = copy(package, tmp_path), copy(package, tmp_path)
    resample(worse, "reference.parquet", lambda rows: rows.with_columns(prediction=1 - pl.col("prediction")))
    later = pl.col("at") + timedelta(days=900)
    resample(champion, "reference.parquet", lambda rows: rows.with_columns(at=later))
    found = bench(Champion(), worse, champion=champion)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "was fitted on these rows" in found.sentence


def test_classes_are_compared_by_their_errors_and_numbers_by_their_squares(
    bench: Bench, classes: Path, numbers: Path
) -> None:
    assert bench(Champion(), classes, champion=classes).unit == "error rate"
    assert bench(Champion(), numbers, champion=numbers).unit == "squared error"


def test_a_champion_of_another_task_could_not_run(bench: Bench, package: Path, numbers: Path) -> None:
    found = bench(Champion(), package, champion=numbers)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "of task regression" in found.sentence


def test_a_champion_that_cannot_be_asked_could_not_run(bench: Bench, package: Path, tmp_path: Path) -> None:
    champion = spoiled(package, tmp_path, lineage_json=edited(earlier))
    (champion / INSIDE / "features.py").write_text("raise RuntimeError('gone')\n")
    found = bench(Champion(), package, champion=champion)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "gone" in found.sentence


def test_a_plain_model_could_not_run_beside_a_champion(bench: Bench, plain: Path, package: Path) -> None:
    found = bench(Champion(), plain, champion=package)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "no labelled rows" in found.sentence


def test_what_training_found_stands_beside_it(bench: Bench, package: Path, tmp_path: Path) -> None:
    said = {"name": "version 1", "verdict": "better", "reason": "", "loss": {"value": -0.1, "low": -0.2, "high": 0}}
    folder = spoiled(package, tmp_path, evaluation_json=lambda text: json.dumps({**json.loads(text), "champion": said}))
    found = bench(Champion(), folder, champion=package)
    assert found.details is not None
    assert json.loads(json.dumps(found.details))["training_said"]["verdict"] == "better"
