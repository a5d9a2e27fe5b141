"""Each settled trial is told once, whoever ran it."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from training.search.budget import FAULT, GIVEN_BACK
from training.search.follower import Follower
from training.search.trial import TrialReport


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=f"sqlite:///{tmp_path}/optuna.db")


def finish(study: optuna.Study, state: TrialState = TrialState.COMPLETE, key: str | None = None) -> None:
    trial = study.ask()
    trial.suggest_categorical("family", ["some"])
    if key is not None:
        trial.set_user_attr(key, [trial.number, "for a reason"])
    study.tell(trial, 1.0 if state == TrialState.COMPLETE else None, state=state)


def test_settled_trials_are_told_once_and_others_never(study: optuna.Study) -> None:
    finish(study)
    told: list[TrialReport] = []
    with Follower(study, told.append):
        finish(study, TrialState.PRUNED)
        finish(study, TrialState.FAIL, FAULT)
        finish(study, TrialState.FAIL, GIVEN_BACK)
        finish(study, TrialState.FAIL)
        study.ask()
    assert [(trial.number, trial.state) for trial in told] == [(0, "complete"), (1, "pruned"), (2, "failed")]
    assert [trial.fault for trial in told] == [None, None, "for a reason"]


def test_an_exception_on_its_way_is_not_replaced(study: optuna.Study) -> None:
    finish(study)

    def report(trial: TrialReport) -> None:
        raise OSError("no place")

    with pytest.raises(KeyError, match="first"), Follower(study, report):
        raise KeyError("first")
    with pytest.raises(OSError, match="no place"), Follower(study, report):
        pass
