"""A policy lived through a history: what it decides by, and that it knows nothing before its time."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.errors import UsageError
from flywheel.monitor_spec import Harm, Recalibrate, Retrain
from monitoring.backtest.fits import Fits
from monitoring.backtest.history import DAY, MICROSECOND, History, micros
from monitoring.backtest.policies import Policy, calendar, standard
from monitoring.backtest.replay import replay
from monitoring.backtest.scene import Replayed, Scene, Training
from monitoring.retraining.evidence import Looked
from monitoring.retraining.level import learn
from monitoring.retraining.recalibration import Recalibration, shifted
from tests.monitoring.backtest.histories import DELAY, START, ShareTrainer, history, use_case

BEGIN, END = START + 60 * DAY, START + 200 * DAY
OWN = Retrain(margin=0.02, harm=Harm(windows=1, of=2), cooldown=timedelta(days=20))
POLICIES = standard(OWN)
CALM, STEP = [0.2] * 200, [0.2] * 120 + [0.7] * 80


def played(policy: Policy, rows: History, folder: Path) -> Replayed:
    fits = Fits(ShareTrainer(rows), folder, rows.digest)
    return replay(Scene(rows, use_case(min_outcomes=50), BEGIN, END, "share", {}, fits), policy)


def days(replayed: Replayed) -> list[int]:
    return [(training.as_of - BEGIN).days for training in replayed.retrainings]


def test_never_trains_once_and_weekly_every_seven_days(tmp_path: Path) -> None:
    assert days(played(POLICIES["never"], history(CALM), tmp_path)) == []
    assert days(played(POLICIES["weekly"], history(CALM), tmp_path)) == list(range(7, 140, 7))


def test_harm_trains_after_a_step_and_not_in_calm(tmp_path: Path) -> None:
    assert days(played(POLICIES["harm"], history(CALM), tmp_path / "calm")) == []
    stepped = played(POLICIES["harm"], history(STEP), tmp_path / "step")
    step = 60  # days behind the beginning; the window of that week ends within seven days, its labels a day later
    assert step < days(stepped)[0] <= step + 15
    assert stepped.retrainings[0].reason == "harm"
    assert all(later - earlier >= 20 for earlier, later in pairwise(days(stepped)))


def test_the_versions_of_a_policy_are_trained_on_the_labels_known_then(tmp_path: Path) -> None:
    rows = history(CALM)
    trainer = ShareTrainer(rows)
    scene = Scene(rows, use_case(), BEGIN, END, "share", {}, Fits(trainer, tmp_path, rows.digest))
    made = replay(scene, POLICIES["weekly"])
    assert len(trainer.fits) == len(made.trainings) == 20
    for training, fit in zip(made.trainings, trainer.fits, strict=True):
        known = rows.time <= micros(training.as_of - DELAY)
        assert fit.rows == (0, int(known.sum()))
        assert rows.time[fit.predict[0]] >= micros(training.as_of)


@pytest.mark.parametrize("name", ["never", "weekly", "harm", "monthly, adaptive ensemble"])
def test_several_classes_and_numbers_are_replayed_as_well(name: str, tmp_path: Path) -> None:
    binary = history(STEP)
    classes = replace(binary, task="multiclass", label=binary.label + (np.arange(len(binary.label)) % 5 == 0))
    numbers = replace(binary, task="regression", label=10 * binary.label)
    for rows in (classes, numbers):
        case = use_case(min_outcomes=50).model_copy(update={"task": rows.task})
        fits = Fits(ShareTrainer(rows), tmp_path / rows.task, rows.digest)
        own = standard(OWN.model_copy(update={"rows": "change_point", "margin": 0.1}), rows.task)
        made = replay(Scene(rows, case, BEGIN, END, "share", {}, fits), own[name])
        losses = rows.losses(rows.place(BEGIN), made.prediction)
        assert np.isfinite(losses).all()
        assert name == "never" or len(made.retrainings) > 0


def test_policies_that_need_one_number_are_not_offered_for_classes() -> None:
    assert {name for name in standard(OWN, "binary") if name not in standard(OWN, "multiclass")} == {
        "monthly, since the last change",
        "monthly, recalibrated each day",
    }


def test_rows_of_which_no_label_is_known_are_refused(tmp_path: Path) -> None:
    hours = calendar(10).model_copy(update={"rows": "sliding", "length": timedelta(hours=2)})
    with pytest.raises(UsageError, match="No label is known of the last"):
        played(Policy("short", hours), history(CALM), tmp_path)


def test_rows_since_a_change_follow_a_step_better_than_all_of_them(tmp_path: Path) -> None:
    rows = history(STEP)
    late = rows.place(START + 180 * DAY) - rows.place(BEGIN)
    everything = played(POLICIES["monthly"], rows, tmp_path)
    since = played(POLICIES["monthly, since the last change"], rows, tmp_path)
    assert abs(since.prediction[late:] - 0.7).max() < 0.05
    assert everything.prediction[late:].max() < 0.6
    assert "the last change" in since.trainings[-1].rows


# Days on which monthly policies train, and on which a window is over whose last labels are not known yet.
CRITICAL = [90, 120, 150, 180, *(60 + 7 * week for week in range(1, 20))]


@pytest.mark.parametrize("name", sorted(POLICIES))
@settings(max_examples=12, deadline=None)
@given(st.sampled_from(CRITICAL) | st.integers(62, 199), st.integers(0, 1))
def test_labels_that_are_not_known_yet_change_nothing_before_they_are(
    tmp_path_factory: pytest.TempPathFactory, name: str, day: int, unknown: int
) -> None:
    rows, at = history(STEP), START + day * DAY
    is_known = rows.time + DELAY // MICROSECOND <= micros(at)
    other = replace(rows, label=np.where(is_known, rows.label, float(unknown)))
    first, second = (played(POLICIES[name], one, tmp_path_factory.mktemp("fits")) for one in (rows, other))
    answered = rows.place(at + DAY) - rows.place(BEGIN)  # the day that begins then is answered by what is known then
    assert np.array_equal(first.prediction[:answered], second.prediction[:answered])
    assert _until(first, at) == _until(second, at)


def test_what_is_replayed_is_what_a_look_would_hand_over_each_day(tmp_path: Path) -> None:
    rows, policy = history(STEP), POLICIES["monthly, recalibrated each day"]
    made = played(policy, rows, tmp_path)
    raw = played(replace(policy, recalibration=None), rows, tmp_path).prediction
    case = use_case(min_outcomes=50)
    case = case.model_copy(update={"monitor": case.monitor.model_copy(update={"recalibrate": Recalibrate()})})
    first, shifts = rows.place(BEGIN), []
    times = pl.Series(rows.time).cast(pl.Datetime("us"))
    for day in range((END - BEGIN).days):
        now = BEGIN + day * DAY
        trained = max(one.as_of for one in made.trainings if one.as_of <= now)
        own = slice(rows.place(trained), rows.place(now))
        answers = raw[own.start - first : own.stop - first]
        log = pl.DataFrame(
            {
                "event_time": times[own],
                "outputs": pl.DataFrame({"probability": answers}).to_struct(),
                "outcome": rows.label[own],
                "shift": pl.Series([None] * len(answers), dtype=pl.Float64),
            }
        )
        shifts.append(learn("1", log, case, 0.0, now).shift)
        today = slice(rows.place(now) - first, rows.place(now + DAY) - first)
        assert made.prediction[today] == pytest.approx(
            shifted(raw[today], shifts[-1], "binary") if shifts[-1] else raw[today], abs=1e-12
        )
    assert max(shifts) > 0.2  # behind the step
    assert 0.0 in shifts[1:]  # on the first days of each version


def test_a_recalibration_can_be_served_where_it_is_bounded_and_one_version_answers() -> None:
    assert POLICIES["monthly, recalibrated each day"].is_servable
    assert POLICIES["monthly, recalibrated each day"].recalibration == Recalibration(most=1.0)
    assert not POLICIES["monthly, adaptive ensemble"].is_servable
    assert not standard(OWN, "regression")["monthly, recalibrated each day"].is_servable
    own = standard(OWN, "binary", Recalibrate(most=0.3, half_life=timedelta(days=4)))["monthly, recalibrated each day"]
    assert own.recalibration == Recalibration(half_life=4, most=0.3)


def _until(replayed: Replayed, at: datetime) -> tuple[list[Training], list[Looked]]:
    trainings = [training for training in replayed.trainings if training.as_of <= at]
    return trainings, [window for window in replayed.windows if window.known_at <= at]


def test_every_decision_of_a_replay_can_be_made_again_from_its_record(tmp_path: Path) -> None:
    from monitoring.retraining.policy import replay as again  # noqa: PLC0415  the name is taken above

    made = played(Policy("both", OWN.model_copy(update={"max_age": 30 * DAY})), history(STEP), tmp_path)
    assert len(made.decisions) >= len(made.retrainings) > 2
    for decision in made.decisions:
        assert again(decision.body()).body() == decision.body()


def test_a_calendar_within_a_budget_stops_when_it_is_spent(tmp_path: Path) -> None:
    assert days(played(Policy("three", calendar(10, most=3)), history(CALM), tmp_path)) == [10, 20, 30]
