"""Gates that compute from the labelled sample: metrics, calibration, slices, and the statistics behind them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, t
from sklearn.metrics import average_precision_score

from registry.gates.calibration import Calibration, calibration_error
from registry.gates.evidence import Outcome
from registry.gates.intervals import mean_of, quantile_of, student_quantile
from registry.gates.metrics import Metrics
from registry.gates.scores import average_precision
from registry.gates.slices import Slices
from tests.registry.gates.folders import Bench, copy, edited, resample, spoiled


def test_without_limits_every_metric_will_do(bench: Bench, package: Path) -> None:
    assert bench(Metrics(), package).outcome == Outcome.PASS


def test_metrics_are_computed_again_from_the_held_out_rows(bench: Bench, package: Path) -> None:
    found = bench(Metrics(), package, minimum={"roc_auc": 0.6}, maximum={"log_loss": 0.69})
    assert found.outcome == Outcome.PASS
    assert found.details is not None
    assert found.details["computed_again"] == ["log_loss", "roc_auc"]
    assert found.details["values"]["log_loss"] != 0.42  # what evaluation.json says
    assert "computed again on 200 held-out rows" in found.sentence


def test_a_metric_that_the_sample_cannot_tell_is_training_s(bench: Bench, package: Path) -> None:
    found = bench(Metrics(), package, minimum={"f_one": 0.6})
    assert found.outcome == Outcome.PASS
    assert "as training recorded it" in found.sentence


def test_a_missed_minimum_fails_with_number_and_limit(bench: Bench, package: Path) -> None:
    found = bench(Metrics(), package, minimum={"roc_auc": 0.999, "f_one": 0.1})
    assert found.outcome == Outcome.FAIL
    assert found.limit == 0.999
    assert found.unit == "roc_auc"


def test_predictions_that_became_worse_are_found_whatever_training_wrote(
    bench: Bench, package: Path, tmp_path: Path
) -> None:
    folder = copy(package, tmp_path)
    resample(folder, "reference.parquet", lambda rows: rows.with_columns(prediction=1 - pl.col("prediction")))
    assert bench(Metrics(), folder, maximum={"log_loss": 0.69}).outcome == Outcome.FAIL


def test_an_unknown_metric_could_not_run_and_names_the_known(bench: Bench, package: Path) -> None:
    found = bench(Metrics(), package, minimum={"fame": 1})
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "roc_auc" in found.sentence


def test_classes_and_numbers_have_metrics_of_their_own(bench: Bench, classes: Path, numbers: Path) -> None:
    assert bench(Metrics(), classes, minimum={"accuracy": 0.4, "macro_f1": 0.3}).outcome == Outcome.PASS
    assert bench(Metrics(), numbers, minimum={"r2": 0.3}, maximum={"rmse": 100, "mae": 100}).outcome == Outcome.PASS
    assert bench(Metrics(), numbers, minimum={"r2": 0.9999}).outcome == Outcome.FAIL


def test_true_probabilities_pass(bench: Bench, package: Path) -> None:
    found = bench(Calibration(), package)
    assert found.outcome == Outcome.PASS
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.low <= found.high


def test_exaggerated_probabilities_fail(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    wrong = pl.when(pl.col("prediction") > 0.5).then(0.2).otherwise(0.9)
    resample(folder, "reference.parquet", lambda rows: rows.with_columns(prediction=wrong))
    assert bench(Calibration(), folder).outcome == Outcome.FAIL


def test_numbers_have_nothing_to_calibrate_and_classes_have_training_s_figure(
    bench: Bench, numbers: Path, classes: Path, tmp_path: Path
) -> None:
    assert bench(Calibration(), numbers).outcome == Outcome.PASS
    assert bench(Calibration(), classes).value == 0.03
    assert bench(Calibration(), classes, calibration_error=0.01).outcome == Outcome.FAIL
    without = spoiled(classes, tmp_path, evaluation_json=lambda text: "{}")
    assert bench(Calibration(), without).outcome == Outcome.COULD_NOT_RUN


def test_without_labelled_rows_these_gates_could_not_run(bench: Bench, plain: Path) -> None:
    for gate in (Calibration(), Slices()):
        found = bench(gate, plain)
        assert found.outcome == Outcome.COULD_NOT_RUN
        assert "no labelled rows" in found.sentence


def test_a_damaged_sample_could_not_run(bench: Bench, package: Path, tmp_path: Path) -> None:
    folder = copy(package, tmp_path)
    (folder / "artifacts/package/reference.parquet").write_text("no parquet")
    found = bench(Calibration(), folder)
    assert found.outcome == Outcome.COULD_NOT_RUN
    assert "reference.parquet cannot be read" in found.sentence
    resample_missing = copy(package, tmp_path)
    resample(resample_missing, "reference.parquet", lambda rows: rows.drop("label"))
    assert "no column 'label'" in bench(Slices(), resample_missing).sentence


def test_the_worst_part_is_named_and_bearable(bench: Bench, package: Path) -> None:
    found = bench(Slices(), package)
    assert found.outcome == Outcome.PASS
    assert found.details is not None
    assert found.details["worst"][0]["part"] == "colour is red and flag is true"  # training's search: 0.8 against 0.4
    assert found.value == pytest.approx(2.0)


def test_a_part_that_is_shown_to_be_bad_fails(bench: Bench, package: Path, tmp_path: Path) -> None:
    found = bench(Slices(), package, slice_loss_ratio=1.5)  # training's search: 1.75 to 2.25 times
    assert found.outcome == Outcome.FAIL
    assert "colour is red and flag is true" in found.sentence
    folder = spoiled(package, tmp_path, evaluation_json=edited(lambda document: document.pop("worst_slices")))
    wrong = pl.when(pl.col("flag")).then(1 - pl.col("label") * 0.98 - 0.01).otherwise(pl.col("label") * 0.9 + 0.05)
    resample(folder, "reference.parquet", lambda rows: rows.with_columns(prediction=wrong))
    found = bench(Slices(), folder, slice_loss_ratio=1.5)
    assert found.outcome == Outcome.FAIL
    assert "flag is true" in found.sentence


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_average_precision_is_scikit_learn_s(rows: list[tuple[bool, int]]) -> None:
    label = np.array([float(one) for one, _ in rows])
    score = np.array([value / 5 for _, value in rows])
    found = average_precision(label, score)
    assert (found is None) == (not label.any())
    if found is not None:
        assert found == pytest.approx(average_precision_score(label, score))


@pytest.mark.parametrize("freedom", [5, 9, 13, 30, 364])
def test_the_quantile_of_student_s_t_is_scipy_s(freedom: int) -> None:
    assert student_quantile(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=2e-3)


def test_the_interval_of_a_mean_covers_it_about_as_often_as_it_says() -> None:
    random, covered, days = np.random.default_rng(3), 0, np.repeat(np.arange(20), 10)
    for _ in range(400):
        values = random.normal(size=20)[days] + random.normal(size=200)  # rows of a day resemble each other
        mean = mean_of(values, days)
        covered += mean.low <= 0 <= mean.high
        assert mean.unit == "days"
    assert 0.91 <= covered / 400 <= 0.985


def test_few_days_count_as_rows() -> None:
    assert mean_of(np.arange(10.0), np.repeat(np.arange(2), 5)).unit == "rows"


def test_the_interval_of_a_quantile_covers_it() -> None:
    random, covered = np.random.default_rng(5), 0
    for _ in range(300):
        _, low, high = quantile_of(random.exponential(size=300), 0.9)
        covered += low <= -np.log(0.1) <= high
    assert covered / 300 >= 0.92
    assert binom.cdf(285, 300, 0.9) > 0.99  # so the upper end is no maximum here


def test_perfect_probabilities_have_no_calibration_error() -> None:
    label = np.tile([0.0, 1.0], 500)
    assert calibration_error(label, np.full(1000, 0.5)) == pytest.approx(0, abs=1e-12)
    assert calibration_error(label, np.full(1000, 0.8)) == pytest.approx(0.3)
