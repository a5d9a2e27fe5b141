"""Trials become nested runs beside the search."""

import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
    from mlflow.tracking import MlflowClient

from training.search.recorder import TrialRecorder
from training.search.trial import TrialReport

COMPLETE = TrialReport(0, "logistic", {"penalty": "l2", "C": 0.5}, "complete", 0.4, (0.3, 0.5), 2.0, "here:1")
PRUNED = TrialReport(1, "xgboost", {"max_depth": 3}, "pruned", None, (), 0.5, "")
FAILED = TrialReport(2, "mine", {}, "failed", None, (), 0.1, "here:2", "mine raised ValueError: no " + "o" * 9000)


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.filterwarnings("ignore")
def test_each_trial_is_one_run_below_the_parent(client: MlflowClient, tmp_path: Path) -> None:
    experiment = client.create_experiment("one", artifact_location=str(tmp_path))
    parent = client.create_run(experiment).info.run_id
    with TrialRecorder(client, experiment, parent, "log_loss") as record:
        for trial in (COMPLETE, PRUNED, FAILED):
            record(trial)
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    by_trial = {run.data.tags["trial"]: run for run in runs}
    assert sorted(by_trial) == ["0", "1", "2"]
    complete = by_trial["0"]
    assert complete.data.params == {"family": "logistic", "penalty": "l2", "C": "0.5"}
    assert complete.data.metrics == {"validation_log_loss": 0.4, "fold_log_loss": 0.5, "seconds": 2.0}
    folds = client.get_metric_history(complete.info.run_id, "fold_log_loss")
    assert [(value.step, value.value) for value in folds] == [(0, 0.3), (1, 0.5)]
    assert complete.info.end_time - complete.info.start_time == 2000
    assert [by_trial[number].info.status for number in "012"] == ["FINISHED", "KILLED", "FAILED"]
    assert by_trial["2"].data.tags["fault"].startswith("mine raised ValueError")


@pytest.mark.filterwarnings("ignore")
def test_what_a_call_raises_is_raised_when_it_is_left(client: MlflowClient) -> None:
    with pytest.raises(Exception, match="No Experiment with id=12345"), TrialRecorder(client, "12345", "x", "m") as r:
        r(COMPLETE)
