from types import SimpleNamespace

import pytest

from registry.review.comparison import DataUsed, Measured, Side, figures, over_champion, settings

VERSION = SimpleNamespace(creation_timestamp=1_767_225_600_000)


def made(metrics: dict[str, float] | None = None, params: dict[str, str] | None = None, data: str = "d1") -> Side:
    return Side(VERSION, metrics or {}, params or {}, (DataUsed("flights", data, "training"),), None, None)


@pytest.mark.parametrize(
    ("metric", "candidate", "champion", "verdict"),
    [
        ("validation_log_loss", 0.4, 0.5, "better"),
        ("log_loss", 0.5, 0.4, "worse"),
        ("roc_auc", 0.7, 0.6, "better"),
        ("roc_auc", 0.6, 0.7, "worse"),
        ("roc_auc", 0.7, 0.7, "same"),
        ("rows", 10.0, 20.0, ""),
        ("test_rmse", 4.0, 5.0, "better"),
        ("test_mae", 5.0, 4.0, "worse"),
        ("test_r2", 0.7, 0.6, "better"),
        ("test_accuracy", 0.7, 0.6, "better"),
        ("test_macro_f1", 0.6, 0.7, "worse"),
        ("test_brier", 0.1, 0.2, "better"),
        ("test_calibration_error", 0.02, 0.01, "worse"),
    ],
)
def test_a_figure_is_better_in_the_direction_of_its_metric(
    metric: str, candidate: float, champion: float, verdict: str
) -> None:
    (row,) = figures(made({metric: candidate}), made({metric: champion}))
    assert row.verdict == verdict
    assert row.change == pytest.approx(candidate - champion)


def test_the_ends_of_an_interval_stand_beside_their_metric_and_not_in_rows_of_their_own() -> None:
    ours = {"test_log_loss": 0.47, "test_log_loss_low": 0.45, "test_log_loss_high": 0.5, "train_rows": 9.0}
    theirs = {"test_log_loss": 0.5}
    loss, rows = figures(made(ours), made(theirs))
    assert (loss.candidate, loss.champion, loss.verdict) == (Measured(0.47, 0.45, 0.5), Measured(0.5), "better")
    assert (rows.name, rows.candidate) == ("train_rows", Measured(9.0))


@pytest.mark.parametrize(
    "metrics", [{"price_low": 1.0}, {"price": 2.0, "price_low": 1.0}, {"a_low": 1.0, "a_high": 2.0}]
)
def test_a_metric_that_only_sounds_like_an_end_keeps_its_row(metrics: dict[str, float]) -> None:
    assert {row.name for row in figures(made(metrics), None)} == set(metrics)


def test_what_was_measured_on_test_rows_comes_first() -> None:
    metrics = {"baseline_rmse": 3.0, "validation_rmse": 2.0, "test_rmse": 2.0, "test_mae": 1.0}
    names = [row.name for row in figures(made(metrics), None)]
    assert names == ["test_mae", "test_rmse", "baseline_rmse", "validation_rmse"]


def test_the_paired_comparison_with_the_champion_has_its_interval() -> None:
    name = "test_loss_over_champion"
    metrics = {name: -0.01, f"{name}_low": -0.02, f"{name}_high": 0.001}
    assert over_champion(made(metrics)) == Measured(-0.01, -0.02, 0.001)
    assert figures(made(metrics), made({name: 0.2})) == []
    assert over_champion(made()) is None


def test_nothing_is_called_better_that_was_measured_on_other_data() -> None:
    (row,) = figures(made({"roc_auc": 0.7}, data="d2"), made({"roc_auc": 0.6}, data="d1"))
    assert row.verdict == ""
    assert row.change == pytest.approx(0.1)


def test_a_figure_that_only_one_side_has_is_shown_without_a_verdict() -> None:
    rows = figures(made({"roc_auc": 0.7}), made({"log_loss": 0.5}))
    assert [(row.name, row.verdict, row.change) for row in rows] == [("log_loss", "", None), ("roc_auc", "", None)]


def test_without_a_champion_the_candidate_stands_alone() -> None:
    (row,) = figures(made({"roc_auc": 0.7}), None)
    assert (row.candidate, row.champion) == (Measured(0.7), None)


def test_parameters_that_differ_come_first() -> None:
    rows = settings(made(params={"a": "1", "b": "2"}), made(params={"a": "1", "b": "3"}))
    assert [(row.name, row.differs) for row in rows] == [("b", True), ("a", False)]


def test_a_version_says_when_it_was_made_in_utc() -> None:
    assert made().made.isoformat() == "2026-01-01T00:00:00+00:00"
