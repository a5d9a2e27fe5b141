"""Optuna's database: opened or refused in one sentence; a dead worker is noticed, a living one is not."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from flywheel.errors import StackError, UsageError
from tests.training.database import Database
from training.search.plan import Heartbeat
from training.search.storage import PatientStorage, open_storage, shown
from training.search.worker import give_out_stale


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


@pytest.fixture
def study(tmp_path: Path) -> tuple[optuna.Study, PatientStorage]:
    storage = open_storage(f"sqlite:///{tmp_path}/optuna.db", Heartbeat(1, 1))
    return optuna.create_study(storage=storage), storage


def claimed(study: optuna.Study, *, queued: bool = True) -> optuna.Trial:
    if queued:
        study.enqueue_trial({"x": 0.25})
    with pytest.warns(UserWarning, match="Heartbeat of storage"):
        trial = study.ask()
    trial.suggest_float("x", 0, 1)
    return trial


@pytest.mark.parametrize("queued", [True, False])
def test_a_trial_claimed_by_a_process_that_died_at_once_is_given_out_again(
    study: tuple[optuna.Study, PatientStorage], queued: bool
) -> None:
    made, _ = study
    proposed = claimed(made, queued=queued).params
    waiting = made.get_trials(states=(TrialState.WAITING,))
    while not waiting:  # nobody beats
        give_out_stale(made)
        waiting = made.get_trials(states=(TrialState.WAITING,))
    assert waiting[0].params == proposed
    assert waiting[0].system_attrs["retry_history"] == [0]
    assert made.trials[0].state == TrialState.FAIL


def test_a_database_that_went_away_is_waited_for(server: Database) -> None:
    storage = open_storage(server.url, Heartbeat(1, 1), patience=30)
    made = optuna.create_study(storage=storage)
    trial = claimed(made)
    server.stop()
    server.start()
    trial.suggest_float("y", 0, 1)
    made.tell(trial, 1.0)
    assert optuna.load_study(study_name=made.study_name, storage=server.url).best_value == 1.0


def test_patience_has_an_end(server: Database) -> None:
    storage = open_storage(server.url, patience=0.5)
    optuna.create_study(storage=storage)
    server.stop()
    try:
        with pytest.raises(optuna.exceptions.StorageInternalError):
            optuna.create_study(storage=storage)
        storage.record_heartbeat(1)  # a sign of life that cannot be given is no fault
    finally:
        server.start()


def test_right_after_an_outage_nobody_is_taken_for_dead(server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(server.url, Heartbeat(1, 60), patience=30)
    made = optuna.create_study(storage=storage)
    claimed(made)
    assert not storage._get_stale_trial_ids(made._study_id)
    monkeypatch.setattr(storage, "grace_period", -1)  # every heartbeat is too old now
    assert storage._get_stale_trial_ids(made._study_id)
    monkeypatch.setattr(storage, "grace_period", 60)
    monkeypatch.setattr(storage, "_returned", float("inf"))
    assert not storage._get_stale_trial_ids(made._study_id)


def test_what_is_no_database_is_refused_without_its_password() -> None:
    with pytest.raises(UsageError, match="FLYWHEEL_OPTUNA_URL is no database URL"):
        open_storage("nonsense")
    with pytest.raises(StackError, match="cannot be used") as fault:
        open_storage("postgresql+psycopg2://me:secret@127.0.0.1:1/optuna")
    assert "secret" not in str(fault.value)
    assert shown("postgresql+psycopg2://me:secret@h/o") == "postgresql+psycopg2://me:***@h/o"
