"""A search from proposals to choice, in one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from flywheel.errors import DataError, StackError
from tests.training.tiny_dataset import planned, usecase, write
from training.data.dataset import Dataset
from training.data.prediction import predict_matrix
from training.search.plan import SearchPlan, Warm
from training.search.search import Found, search
from training.search.trial import TrialReport, fit

HERE = Path(__file__).parent
Search = Callable[..., tuple[Found, list[TrialReport]]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(tmp_path_factory.mktemp("search"), usecase())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db"


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATE", str(tmp_path))
    return tmp_path


def gated(dataset: Dataset, **changes: Any) -> SearchPlan:
    return planned(HERE, usecase(families=["gated_family.py"]), dataset, **changes)


def fits(gate: Path) -> list[float]:
    return [float(line.split()[1]) for line in (gate / "log").read_text().splitlines()]


def run(plan: SearchPlan, dataset: Dataset, url: str) -> tuple[Found, list[TrialReport]]:
    told: list[TrialReport] = []
    return search(plan, dataset, url, told.append), told


def test_defaults_come_first_and_the_best_is_chosen(dataset: Dataset, url: str) -> None:
    case = usecase(families=["xgboost", "hist_gradient_boosting", "logistic"])
    found, told = run(planned(HERE, case, dataset, trials=6), dataset, url)
    assert [trial.family for trial in found.trials[:3]] == ["xgboost", "hist_gradient_boosting", "logistic"]
    assert found.trials[2].params == {"penalty": "l2", "C": 0.1}
    assert [trial.number for trial in told] == list(range(6))
    complete = [trial for trial in told if trial.value is not None]
    assert found.value == min(trial.value for trial in complete if trial.value is not None)
    assert found.history == [trial.value for trial in complete]
    model = fit(found.family, found.params, dataset, dataset.folds[-1].train, seed=7, threads=1).model
    later = dataset.folds[-1].validation
    prediction, label = predict_matrix(model, later.take(dataset.matrix), "binary"), later.take(dataset.label)
    again = -np.mean(np.log(np.where(label == 1, prediction, 1 - prediction)))
    assert again == pytest.approx(found.value, abs=1e-12)


def test_the_same_search_proposes_the_same_again(dataset: Dataset, gate: Path) -> None:
    plans = [gated(dataset, trials=5) for _ in range(2)]
    founds = [run(plan, dataset, f"sqlite:///{gate}/{number}.db")[0] for number, plan in enumerate(plans)]
    assert fits(gate)[:5] == fits(gate)[5:]
    assert founds[0].params == founds[1].params
    assert founds[0].study == founds[1].study


def test_an_interrupted_search_goes_on_as_if_it_had_not_been(dataset: Dataset, url: str, gate: Path) -> None:
    uninterrupted, _ = run(gated(dataset, trials=7), dataset, f"sqlite:///{gate}/other.db")
    plan = gated(dataset, trials=7)
    (gate / "log").unlink()
    run(gated(dataset, trials=4), dataset, url)
    (gate / "interrupt").touch()
    with pytest.raises(KeyboardInterrupt):
        run(plan, dataset, url)
    found, told = run(plan, dataset, url)
    assert sorted(t.value for t in told if t.value) == sorted(t.value for t in uninterrupted.trials if t.value)
    assert found.params == uninterrupted.params
    proposals = fits(gate)
    assert len(proposals) == 8
    assert proposals[4] == proposals[5]  # the interrupted trial was done again, with its parameters


def test_a_finished_study_is_read_and_not_done_again(dataset: Dataset, url: str, gate: Path) -> None:
    first, _ = run(gated(dataset, trials=4), dataset, url)
    second, told = run(gated(dataset, trials=4), dataset, url)
    assert len(fits(gate)) == 4
    assert (second.params, second.value, second.trials) == (first.params, first.value, first.trials)
    assert told == list(first.trials)


def test_asked_for_more_trials_it_goes_on(dataset: Dataset, url: str, gate: Path) -> None:
    run(gated(dataset, trials=3), dataset, url)
    found, _ = run(gated(dataset, trials=5), dataset, url)
    assert len(found.trials) == 5
    assert len(fits(gate)) == 5


def test_the_champions_parameters_and_the_best_of_its_study_are_tried_early(
    dataset: Dataset, url: str, gate: Path
) -> None:
    champion, _ = run(gated(dataset, trials=6), dataset, url)
    (gate / "log").unlink()
    warm = Warm("gated", {"p": 0.25, "trees": 80}, champion.study)
    run(gated(dataset, trials=6, study="next", warm=warm), dataset, url)
    best = sorted((trial.value, trial.params["p"]) for trial in champion.trials if trial.value is not None)
    assert fits(gate)[:2] == [0.5, 0.25]
    assert set(fits(gate)[2:5]) >= {p for _, p in best[:3]} - {0.5}


def test_a_champion_of_a_family_that_is_not_searched_is_passed_over(dataset: Dataset, url: str, gate: Path) -> None:
    found, _ = run(gated(dataset, trials=2, warm=Warm("xgboost", {"max_depth": 3}, "gone")), dataset, url)
    assert len(found.trials) == 2
    found, _ = run(gated(dataset, trials=2, study="2", warm=Warm("gated", {"p": 0.3}, "gone")), dataset, url)
    assert [trial.params["p"] for trial in found.trials] == [0.5, 0.3]


def test_a_fit_that_raises_takes_its_place_and_says_why(dataset: Dataset, url: str, gate: Path) -> None:
    found, told = run(gated(dataset, trials=3, warm=Warm("gated", {"p": 0.94})), dataset, url)
    assert [trial.state for trial in told][:2] == ["complete", "failed"]
    assert told[1].fault == "gated raised ValueError: this is too sure"
    assert len(found.trials) == len(fits(gate)) == 3


def test_a_search_without_a_complete_trial_says_why(
    dataset: Dataset, url: str, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = gated(dataset, trials=1, warm=None)
    monkeypatch.setattr("training.search.search._proposal", lambda family, params: {"family": family, "gated.p": 0.93})
    with pytest.raises(DataError, match=r"No trial of study 'tiny/.*' was completed: gated raised ValueError: this is"):
        run(plan, dataset, url)


def test_time_ends_a_search_and_the_same_time_again_only_reads_it(dataset: Dataset, url: str, gate: Path) -> None:
    first = run(gated(dataset, trials=500, minutes=0.01), dataset, url)[0]
    assert 1 <= len(first.trials) < 500
    again = run(gated(dataset, trials=500, minutes=0.01), dataset, url)[0]
    assert len(again.trials) == len(first.trials) == len(fits(gate))
    longer = run(gated(dataset, trials=500, minutes=0.02), dataset, url)[0]
    assert len(longer.trials) > len(first.trials)


def test_the_value_is_the_mean_of_the_folds_and_laggards_are_pruned(tmp_path: Path, url: str, gate: Path) -> None:
    case = usecase(families=["gated_family.py"], folds=3)
    dataset = write(tmp_path, case)
    found, told = run(planned(HERE, case, dataset, trials=14), dataset, url)
    complete = [trial for trial in told if trial.state == "complete"]
    pruned = [trial for trial in told if trial.state == "pruned"]
    assert pruned
    assert all(trial.value is None for trial in pruned)
    for trial in complete:
        assert len(trial.folds) == 3
        assert trial.value == pytest.approx(np.mean(trial.folds))
    assert found.value == min(trial.value for trial in complete if trial.value is not None)
    failed = len(told) - len(complete) - len(pruned)  # in their first fold
    assert len(fits(gate)) == 3 * len(complete) + sum(_steps(url, trial) for trial in pruned) + failed


def _steps(url: str, trial: TrialReport) -> int:
    study = optuna.load_study(study_name=None, storage=url)
    return len(study.trials[trial.number].intermediate_values)


def test_without_pruning_every_trial_is_complete(tmp_path: Path, url: str, gate: Path) -> None:
    case = usecase(families=["gated_family.py"], folds=2, pruning=False)
    dataset = write(tmp_path, case)
    found, _ = run(planned(HERE, case, dataset, trials=8), dataset, url)
    assert {trial.state for trial in found.trials} <= {"complete", "failed"}


def test_a_metric_that_grows_is_maximised(dataset: Dataset, url: str) -> None:
    case = usecase(families=["logistic", "xgboost"], metric="roc_auc")
    found, _ = run(planned(HERE, case, dataset, trials=5), dataset, url)
    assert found.value == max(trial.value for trial in found.trials if trial.value is not None)
    assert found.value > 0.75


def test_the_best_candidates_are_fitted_again_with_more_seeds(dataset: Dataset, url: str) -> None:
    case = usecase(families=["random_forest"], seeds=3)
    plan = planned(HERE, case, dataset, trials=4)
    found, told = run(plan, dataset, url)
    assert len(found.seeds) == 3
    values = {trial.number: trial.value for trial in told}
    for number, means in found.seeds.items():
        assert len(means) == 3
        assert means[0] == values[number]
        assert len(set(means)) > 1
    assert found.value == min(np.mean(means) for means in found.seeds.values()) == np.mean(found.seeds[found.number])
    assert run(plan, dataset, url)[0].seeds == found.seeds


def test_a_database_that_is_not_there_is_a_fault_at_once(dataset: Dataset) -> None:
    with pytest.raises(StackError, match=r"Optuna's database postgresql.*127\.0\.0\.1:1/.* cannot be used"):
        run(gated(dataset), dataset, "postgresql+psycopg2://u:secret@127.0.0.1:1/optuna")


def test_a_study_of_that_name_on_other_data_is_refused(dataset: Dataset, url: str, gate: Path, tmp_path: Path) -> None:
    run(gated(dataset, trials=1, study="one"), dataset, url)
    other = write(tmp_path / "other", usecase(), count=501)
    with pytest.raises(DataError, match="Study 'one' was made on other data"):
        run(gated(other, trials=1, study="one"), other, url)


def test_what_is_told_raises_where_the_search_ends(dataset: Dataset, url: str, gate: Path) -> None:
    def report(trial: TrialReport) -> None:
        raise OSError(f"no place for trial {trial.number}")

    with pytest.raises(OSError, match="no place for trial 0"):
        search(gated(dataset, trials=2), dataset, url, report)
    study = optuna.load_study(study_name=None, storage=url)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
