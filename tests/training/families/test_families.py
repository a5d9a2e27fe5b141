"""One suite that every family passes, for each task that it does: the built-in ones and one that a user brings."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from sklearn.pipeline import Pipeline

from flywheel.usecase import Task
from tests.training.tiny_dataset import usecase, write
from training.data.dataset import Dataset
from training.data.prediction import predict_matrix
from training.families.catalogue import BUILT_IN, choose_families
from training.families.protocol import Evaluation, Family, FitData, Fitted, Params, takes_weights
from training.metrics import METRICS

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
OTHERS = choose_families(("extra_trees_family.py",), "binary", Path(__file__).parent)
CASES = [(family, task) for family in (*BUILT_IN, *OTHERS) for task in TASKS if task in family.tasks]
each = pytest.mark.parametrize(("family", "task"), CASES, ids=[f"{family.name}-{task}" for family, task in CASES])
STOPPING = ("xgboost", "hist_gradient_boosting")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Dataset]:
    return {task: write(tmp_path_factory.mktemp(task), usecase(task)) for task in TASKS}


def data(dataset: Dataset, *, stop: bool = True, threads: int = 1) -> FitData:
    fold = dataset.folds[-1]
    later = Evaluation(fold.validation.take(dataset.matrix), fold.validation.take(dataset.label))
    return FitData(
        matrix=fold.train.take(dataset.matrix),
        label=fold.train.take(dataset.label),
        columns=dataset.columns,
        task=dataset.task,
        n_classes=dataset.n_classes,
        seed=5,
        threads=threads,
        evaluation=later if stop else None,
    )


def answer(fitted: Fitted, dataset: Dataset) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return predict_matrix(fitted.model, dataset.test.take(dataset.matrix), dataset.task)


def proposed(family: Family, task: Task, seed: int) -> Params:
    """Return what a random trial gets, as a search would."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return family.suggest(study.ask(), task)


@each
def test_predictions_on_later_rows_beat_the_constant(family: Family, task: Task, datasets: dict[Task, Dataset]) -> None:
    dataset = datasets[task]
    fitted = family.fit(family.defaults(task), data(dataset))
    prediction, label = answer(fitted, dataset), dataset.test.take(dataset.label)
    assert prediction.shape == ((len(label), 3) if task == "multiclass" else (len(label),))
    training = dataset.folds[-1].train.take(dataset.label)
    trivial = np.full(len(label), training.mean())
    if task == "multiclass":
        trivial = np.tile(np.bincount(training.astype(int)) / len(training), (len(label), 1))
    loss = METRICS[task][0]
    assert loss.measure(label, prediction) < 0.95 * loss.measure(label, trivial)


@each
def test_rows_of_no_weight_are_forgotten_by_families_that_weigh(
    family: Family, task: Task, datasets: dict[Task, Dataset]
) -> None:
    if not takes_weights(family):
        pytest.skip("it does not weigh")
    dataset, given = datasets[task], data(datasets[task], stop=False)
    half = np.arange(len(given.label)) % 2 == 0
    wrong = np.where(half, given.label.max() - given.label, given.label)  # every other row says the opposite
    losses = []
    for first in (1e-6, 1.0):
        weighted = replace(given, label=wrong, weight=np.where(half, first, 1.0))
        fitted = family.fit({**family.defaults(task), "trees": 40}, weighted)
        losses.append(METRICS[task][0].measure(dataset.test.take(dataset.label), answer(fitted, dataset)))
    assert losses[0] < 0.95 * losses[1]


@each
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_bits(
    family: Family, task: Task, threads: int, datasets: dict[Task, Dataset]
) -> None:
    params, given = proposed(family, task, 1), data(datasets[task], threads=threads)
    first, second = family.fit(params, given), family.fit(params, given)
    assert np.array_equal(answer(first, datasets[task]), answer(second, datasets[task]))
    assert first.params == second.params
    if family.flavor == "sklearn":
        assert pickle.dumps(first.model) == pickle.dumps(second.model)
    else:
        assert first.model.get_booster().save_raw() == second.model.get_booster().save_raw()


@each
def test_resolved_parameters_fit_again_without_early_stopping(
    family: Family, task: Task, datasets: dict[Task, Dataset]
) -> None:
    dataset = datasets[task]
    stopped = family.fit(family.defaults(task), data(dataset))
    again = family.fit(stopped.params, data(dataset, stop=False))
    assert again.params == stopped.params
    assert np.array_equal(answer(again, dataset), answer(stopped, dataset))
    if family.name in STOPPING:
        assert 1 <= int(stopped.params["trees"]) < 400


@each
def test_values_never_seen_and_missing_ones_are_tolerated(
    family: Family, task: Task, datasets: dict[Task, Dataset]
) -> None:
    dataset = datasets[task]
    colour = dataset.columns.names.index("colour")
    train = dataset.folds[-1].train
    kept = train.take(dataset.matrix)[:, colour] != 1.0
    given = data(dataset)
    few = FitData(**{**vars(given), "matrix": given.matrix[kept], "label": given.label[kept]})
    fitted = family.fit(family.defaults(task), few)
    strange = np.array([[np.nan] * 4, [0.0, 0.0, 1.0, 0.0], [1e30, -1e30, np.nan, 1.0]], dtype=np.float32)
    assert np.isfinite(predict_matrix(fitted.model, strange, task)).all()


@each
def test_one_row_is_scored_as_in_company(family: Family, task: Task, datasets: dict[Task, Dataset]) -> None:
    dataset = datasets[task]
    fitted = family.fit(family.defaults(task), data(dataset))
    matrix = dataset.test.take(dataset.matrix)[:10]
    alone = np.concatenate([predict_matrix(fitted.model, matrix[i : i + 1], task) for i in range(10)])
    assert np.allclose(alone, predict_matrix(fitted.model, matrix, task), rtol=1e-5, atol=1e-6)


@each
def test_defaults_can_be_put_before_a_trial(family: Family, task: Task) -> None:
    defaults = family.defaults(task)
    fixed = optuna.trial.FixedTrial({f"{family.name}.{key}": value for key, value in defaults.items()})
    assert family.suggest(fixed, task) == defaults  # type: ignore[arg-type]  # a FixedTrial answers like a Trial


@each
def test_whatever_is_proposed_can_be_fitted_and_proposed_again(
    family: Family, task: Task, datasets: dict[Task, Dataset]
) -> None:
    for seed in range(4):
        params = proposed(family, task, seed)
        fixed = optuna.trial.FixedTrial({f"{family.name}.{key}": value for key, value in params.items()})
        assert family.suggest(fixed, task) == params  # type: ignore[arg-type]
        assert np.isfinite(answer(family.fit(params, data(datasets[task])), datasets[task])).all()


@each
@pytest.mark.parametrize("columns", [["x"], ["colour"]])
def test_features_of_one_kind_alone_are_enough(
    family: Family, task: Task, columns: list[str], datasets: dict[Task, Dataset]
) -> None:
    dataset = datasets[task]
    places = [dataset.columns.names.index(name) for name in columns]
    given = data(dataset, stop=False)
    some = type(dataset.columns)(tuple(columns), tuple(dataset.columns.categories[place] for place in places))
    matrix = np.ascontiguousarray(given.matrix[:, places])
    params = {**family.defaults(task), **({"trees": 5} if family.name in STOPPING else {})}
    fitted = family.fit(params, FitData(**{**vars(given), "matrix": matrix, "columns": some}))
    assert np.isfinite(predict_matrix(fitted.model, matrix, task)).all()


def test_what_is_conditional_is_asked_for_only_under_its_condition() -> None:
    found = {
        family.name: {frozenset(proposed(family, task, seed)) for seed in range(12)}
        for family, task in CASES
        if family.name in ("logistic", "linear", "random_forest")
    }
    assert found["logistic"] == {frozenset({"penalty", "C"}), frozenset({"penalty", "C_l1"})}
    assert found["linear"] == {frozenset({"penalty", "alpha"}), frozenset({"penalty", "alpha_elastic_net", "l1_ratio"})}
    assert len(found["random_forest"]) == 2


def test_xgboost_takes_categories_as_categories(datasets: dict[Task, Dataset]) -> None:
    family = next(family for family in BUILT_IN if family.name == "xgboost")
    booster = family.fit(family.defaults("binary"), data(datasets["binary"])).model.get_booster()
    assert booster.feature_types == ["q", "q", "c", "q"]
    assert any(":{" in tree for tree in booster.get_dump())  # a split by a set of codes


def test_losses_are_reported_at_doublings_and_a_report_may_end_the_fit(datasets: dict[Task, Dataset]) -> None:
    family = next(family for family in BUILT_IN if family.name == "xgboost")
    told: list[tuple[int, float]] = []

    def report(step: int, value: float) -> None:
        told.append((step, value))
        if step == 32:
            raise optuna.TrialPruned

    given = FitData(**{**vars(data(datasets["binary"])), "report": report})
    with pytest.raises(optuna.TrialPruned):
        family.fit({**family.defaults("binary"), "learning_rate": 0.01}, given)
    assert [step for step, _ in told] == [16, 32]
    assert told[1][1] < told[0][1] < 0.7


def test_pipelines_of_scikit_learn_hold_no_data_and_no_callbacks(datasets: dict[Task, Dataset]) -> None:
    for family, task in CASES:
        model = family.fit(proposed(family, task, 2), data(datasets[task])).model
        if isinstance(model, Pipeline):
            assert list(model.named_steps)[-1] == "model"
        assert getattr(model, "callbacks", None) is None
