"""Differences with intervals that hold, and a choice that looks at one part only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flywheel.errors import UsageError
from flywheel.usecase import Costs
from monitoring.backtest.fits import Fits
from monitoring.backtest.history import DAY
from monitoring.backtest.policies import standard
from monitoring.backtest.replay import replay
from monitoring.backtest.scene import Replayed, Scene
from monitoring.backtest.score import Difference, Part, Scores, decision_costs, doubt, paired
from monitoring.retraining.recalibration import Recalibration
from tests.monitoring.backtest.histories import START, ShareTrainer, history, use_case

BEGIN, MIDDLE, END = START + 60 * DAY, START + 130 * DAY, START + 200 * DAY
ROWS = history([0.2] * 100 + [0.6] * 100)
CHOOSE, REPORT = Part.between("choose", ROWS, BEGIN, MIDDLE), Part.between("report", ROWS, MIDDLE, END)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> list[Replayed]:
    case = use_case()
    fits = Fits(ShareTrainer(ROWS), tmp_path_factory.mktemp("fits"), ROWS.digest)
    scene = Scene(ROWS, case, BEGIN, END, "share", {}, fits)
    known = standard(case.monitor.retrain)
    return [replay(scene, known[name]) for name in ("never", "monthly", "weekly")]


def scores(replayed: list[Replayed]) -> Scores:
    return Scores(ROWS, replayed, CHOOSE.start, Costs(false_positive=1, false_negative=3))


def test_the_best_of_the_first_part_is_recommended_and_reported_on_the_second(replayed: list[Replayed]) -> None:
    found = scores(replayed).recommend(CHOOSE, REPORT, None)
    assert (found.policy, found.runner_up) == ("weekly", "monthly")
    assert found.share == 1.0
    assert found.against["never"].high < 0
    assert f"a gain of {found.against['monthly'].gain} over monthly" in found.sentence
    gains = {name: one.gain for name, one in found.against.items()}
    assert gains["never"].startswith("+")  # as in the plot, more is better
    low, high = gains["never"].split("[")[1].rstrip("]").split(", ")
    assert 0 < float(low) < float(high)


def test_a_gain_that_chance_explains_is_said_to_be_one_with_the_policy_that_does_as_well(
    replayed: list[Replayed],
) -> None:
    never, monthly, _ = replayed
    random, cut = np.random.default_rng(3), CHOOSE.stop - CHOOSE.start
    noise = random.normal(0, 0.02, len(never.prediction) - cut)
    alike = replace(monthly, prediction=np.concatenate([monthly.prediction[:cut], never.prediction[cut:] + noise]))
    found = scores([never, alike]).recommend(CHOOSE, REPORT, None)
    assert found.policy == "monthly"
    assert found.against["never"].is_within_chance
    count = len(monthly.retrainings)
    assert f"'never' does as well, with no trainings where 'monthly' makes {count}." in found.sentence
    certain = scores([never, monthly]).recommend(CHOOSE, REPORT, None)
    assert certain.against["never"].high < 0
    assert "Chance" not in certain.sentence


def test_without_never_the_policy_with_the_fewest_trainings_is_the_measure(replayed: list[Replayed]) -> None:
    _, monthly, weekly = replayed
    cut = CHOOSE.stop - CHOOSE.start
    same = replace(weekly, prediction=np.concatenate([weekly.prediction[:cut], monthly.prediction[cut:]]))
    found = scores([same, monthly]).recommend(CHOOSE, REPORT, None)
    assert (found.policy, found.against["monthly"].gain) == ("weekly", "+0.0000 [+0.0000, +0.0000]")
    counts = f"with {len(monthly.retrainings)} trainings where 'weekly' makes {len(weekly.retrainings)}."
    assert f"'monthly' does as well, {counts}" in found.sentence


def test_trainings_that_made_it_worse_are_said_to_have(replayed: list[Replayed]) -> None:
    never, monthly, _ = replayed
    cut = CHOOSE.stop - CHOOSE.start
    truth = np.clip(ROWS.label[REPORT.start : REPORT.stop], 0.05, 0.95)
    best = replace(never, prediction=np.concatenate([never.prediction[:cut], truth]))
    found = scores([best, monthly]).recommend(CHOOSE, REPORT, None)
    assert found.policy == "monthly"
    assert "That is a loss: 'never' does better, with no trainings where 'monthly' makes" in found.sentence


@pytest.mark.parametrize(("few", "said"), [(0, "no trainings"), (1, "1 training"), (2, "2 trainings")])
def test_a_policy_that_trains_no_less_casts_no_doubt(few: int, said: str) -> None:
    wide = Difference(-0.001, -0.01, 0.01)
    assert f"does as well, with {said} where 'a' makes 3." in doubt(wide, "a", "b", (3, few))
    assert doubt(wide, "a", "b", (few, few)) == ""


def test_policies_that_train_faster_than_the_budget_allows_are_not_chosen(replayed: list[Replayed]) -> None:
    made = scores(replayed)
    assert made.recommend(CHOOSE, REPORT, 5).policy == "monthly"
    assert made.recommend(CHOOSE, REPORT, 0).policy == "never"


def test_policies_that_cannot_be_served_are_passed_over_when_that_is_asked(replayed: list[Replayed]) -> None:
    weekly = replayed[-1]
    policy = replace(weekly.policy, recalibration=Recalibration())
    made = scores([*replayed[:-1], replace(weekly, policy=policy)])
    assert made.recommend(CHOOSE, REPORT, None).policy == "weekly"
    assert made.recommend(CHOOSE, REPORT, None, only_servable=True).policy == "monthly"
    with pytest.raises(UsageError, match="Replay 'never' as well"):
        scores([weekly]).recommend(CHOOSE, REPORT, 0)


def test_nothing_of_the_second_part_can_change_the_choice(replayed: list[Replayed]) -> None:
    cut = CHOOSE.stop - CHOOSE.start
    truth = np.clip(ROWS.label[REPORT.start : REPORT.stop], 0.05, 0.95)
    spoiled = [  # the worst policy knows everything afterwards, and the others the opposite
        replace(one, prediction=np.concatenate([one.prediction[:cut], after]))
        for one, after in zip(replayed, (truth, 1 - truth, 1 - truth), strict=True)
    ]
    for most in (None, 5, 0):
        found, other = (scores(made).recommend(CHOOSE, REPORT, most) for made in (replayed, spoiled))
        assert (found.policy, found.runner_up) == (other.policy, other.runner_up)
    assert found.against != other.against


def test_intervals_hold_when_the_rows_of_a_week_hang_together() -> None:
    random, truth, held = np.random.default_rng(11), 0.01, 0
    week = np.repeat(np.arange(25), 70)
    for _ in range(400):
        found = paired(truth + np.repeat(random.normal(0, 0.03, 25), 70) + random.normal(0, 0.2, len(week)), week)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_one_block_says_nothing() -> None:
    found = paired(np.array([1.0, 2.0]), np.array([4, 4]))
    assert (found.mean, found.low, found.high) == (1.5, -np.inf, np.inf)


def test_wrong_decisions_cost_what_they_cost_at_the_threshold_of_the_costs() -> None:
    label, probability = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.3, 0.3, 0.2, 0.2])
    costs = decision_costs(label, probability, Costs(false_positive=1, false_negative=3))
    assert costs.tolist() == [1.0, 0.0, 0.0, 3.0]


def test_weeks_without_rows_are_left_out_of_the_lines(tmp_path: Path) -> None:
    keep = ~((ROWS.time > ROWS.time[70 * 40]) & (ROWS.time < ROWS.time[90 * 40]))
    gapped = replace(ROWS, time=ROWS.time[keep], label=ROWS.label[keep])
    scene = Scene(gapped, use_case(), BEGIN, END, "share", {}, Fits(ShareTrainer(gapped), tmp_path, "gapped"))
    never = replay(scene, standard(use_case().monitor.retrain)["never"])
    week, means = Scores(gapped, [never], gapped.place(BEGIN), None).weekly_losses("never")
    assert len(week) == len(means)
    assert np.isfinite(means).all()
    assert np.diff(week).max() > 7
