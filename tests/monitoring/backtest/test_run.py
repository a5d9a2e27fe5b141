"""The whole on a history in memory: table, JSON, picture; and spans that have no rows."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from matplotlib.image import imread
from rich.console import Console

from flywheel.errors import DataError, UsageError
from monitoring.backtest.history import DAY, History
from monitoring.backtest.plot import draw, shown, spread
from monitoring.backtest.policies import chosen, standard
from monitoring.backtest.run import Outcome, Plan, check_span, run_on
from monitoring.backtest.score import Scores
from monitoring.backtest.table import document, show, table
from monitoring.backtest.trainer import Fit
from tests.monitoring.backtest.histories import START, ShareTrainer, history, use_case

ROWS = history([0.2] * 100 + [0.6] * 100)
TIMES = (START + 60 * DAY, START + 130 * DAY, START + 200 * DAY)


def plan(folder: Path) -> Plan:
    case = use_case(min_outcomes=50)
    names = ["never", "monthly", "weekly", "harm", "every 20 days", "monthly, recalibrated each day"]
    return Plan(Path("usecase.yaml"), case, chosen(names, standard(case.monitor.retrain)), *TIMES, folder, most=8)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_on(plan(tmp_path_factory.mktemp("run")), ROWS, ShareTrainer(ROWS), lambda _: None)


def test_table_and_json_name_every_policy_and_mark_the_recommended_one(outcome: Outcome) -> None:
    console = Console(width=160, record=True, quiet=False, file=None)
    with console.capture() as captured:
        show(outcome, console)
    text = captured.get()
    assert f"▸ {outcome.recommendation.policy}" in text
    assert "°" not in text
    said = json.loads(json.dumps(document(outcome)))
    assert [row["policy"] for row in said["policies"]] == list(outcome.scores.replayed)
    by_name = {row["policy"]: row for row in said["policies"]}
    assert by_name["never"]["trainings"] == 0
    assert by_name["weekly"]["trainings"] == by_name["weekly"]["trainings_choose"] + 10
    assert by_name["monthly, recalibrated each day"]["servable"]
    assert by_name["monthly"]["loss_report"] > by_name["monthly, recalibrated each day"]["loss_report"]
    assert len(outcome.scores.replayed[outcome.recommendation.policy].retrainings) <= 8


def heads(outcome: Outcome) -> list[str]:
    return [str(column.header) for column in table(outcome).columns]


def test_columns_about_weekly_stand_only_where_it_was_replayed(outcome: Outcome) -> None:
    about = ["share of weekly's gain", "gain over weekly, 95 %"]
    assert [head for head in heads(outcome) if "weekly" in head] == about
    known = outcome.scores.replayed
    for left_out, expected in (("weekly", []), ("never", about[1:])):
        kept = [one for name, one in known.items() if name != left_out]
        scores = Scores(ROWS, kept, outcome.choose.start, None)
        assert [head for head in heads(replace(outcome, scores=scores)) if "weekly" in head] == expected


def test_trainings_are_told_of_the_part_that_the_picture_tells_them_of(outcome: Outcome) -> None:
    made = table(outcome)
    cells = {str(column.header): list(column.cells) for column in made.columns}
    replayed = outcome.scores.replayed.values()
    assert cells["trainings, reported"] == [str(outcome.report.trainings(one)) for one in replayed]
    assert cells["trainings, chosen on"] == [str(outcome.choose.trainings(one)) for one in replayed]
    assert cells["trainings, reported"][2] == "10"


def test_the_picture_can_be_read_and_shows_the_recommended_policy_first(outcome: Outcome, tmp_path: Path) -> None:
    draw(outcome, tmp_path / "backtest.png")
    assert imread(tmp_path / "backtest.png").shape[0] > 500
    assert shown(outcome)[0] == outcome.recommendation.policy


def test_names_above_each_other_are_kept_apart() -> None:
    heights = spread({"a": (9, 1.0), "b": (9, 1.1), "c": (9, 1.15), "d": (3, 1.1)}, least=0.5)
    assert heights == {"a": 1.0, "b": 1.5, "c": 2.0, "d": 1.1}


@pytest.mark.parametrize("days", [(-30, 60, 90), (60, 400, 500), (13, 60, 90)])
def test_a_span_without_rows_before_or_on_both_sides_is_refused(days: tuple[int, int, int], tmp_path: Path) -> None:
    begin, choose_until, end = (START + timedelta(days=day) for day in days)
    wrong = replace(plan(tmp_path), begin=begin, choose_until=choose_until, end=end)
    with pytest.raises(UsageError, match="Labelled rows go from 2013-01-01 to 2013-07-19"):
        check_span(ROWS, wrong)


class FailingTrainer(ShareTrainer):
    """Fails at a fit on more rows than it likes."""

    def __init__(self, rows: History) -> None:
        super().__init__(rows)

    def fit(self, fit: Fit, output: Path) -> None:
        if fit.rows[1] > 100 * 40:
            raise DataError("A fit failed: too many rows")
        super().fit(fit, output)


def test_a_fit_that_fails_ends_the_backtest_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too many rows"):
        run_on(replace(plan(tmp_path), processes=3), ROWS, FailingTrainer(ROWS), lambda _: None)
    assert list((tmp_path / "fits").glob("*.npy"))
