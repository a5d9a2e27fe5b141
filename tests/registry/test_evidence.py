from types import SimpleNamespace

import pytest

from registry.evidence import DataUsed, Side, figures, settings

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
    ],
)
def test_a_figure_is_better_in_the_direction_of_its_metric(
    metric: str, candidate: float, champion: float, verdict: str
) -> None:
    (row,) = figures(made({metric: candidate}), made({metric: champion}))
    assert row.verdict == verdict
    assert row.change == pytest.approx(candidate - champion)


def test_nothing_is_called_better_that_was_measured_on_other_data() -> None:
    (row,) = figures(made({"roc_auc": 0.7}, data="d2"), made({"roc_auc": 0.6}, data="d1"))
    assert row.verdict == ""
    assert row.change == pytest.approx(0.1)


def test_a_figure_that_only_one_side_has_is_shown_without_a_verdict() -> None:
    rows = figures(made({"roc_auc": 0.7}), made({"log_loss": 0.5}))
    assert [(row.name, row.verdict, row.change) for row in rows] == [("log_loss", "", None), ("roc_auc", "", None)]


def test_without_a_champion_the_candidate_stands_alone() -> None:
    (row,) = figures(made({"roc_auc": 0.7}), None)
    assert (row.candidate, row.champion) == (0.7, None)


def test_parameters_that_differ_come_first() -> None:
    rows = settings(made(params={"a": "1", "b": "2"}), made(params={"a": "1", "b": "3"}))
    assert [(row.name, row.differs) for row in rows] == [("b", True), ("a", False)]


def test_a_version_says_when_it_was_made_in_utc() -> None:
    assert made().made.isoformat() == "2026-01-01T00:00:00+00:00"
