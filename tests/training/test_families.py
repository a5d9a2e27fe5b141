"""One suite that every model family passes."""

import numpy as np
import optuna
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline

from flywheel.errors import SpecError
from training.families import FAMILIES, Family, choose_families, columns_of
from training.model_code import TRUSTED

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def frame(rows: int = 400) -> tuple[pd.DataFrame, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    random = np.random.default_rng(5)
    size = random.normal(size=rows)
    label = (size + random.normal(size=rows) > 0).astype(np.float64)
    size[::7] = np.nan
    colour = random.choice(["red", "green", ""], size=rows)
    return pd.DataFrame({"size": size, "colour": colour.astype(object), "full": random.normal(size=rows)}), label


def fitted(family: Family) -> Pipeline:
    inputs, label = frame()
    return family.estimator(family.defaults, columns_of(inputs), seed=1, threads=1).fit(inputs, label)


@families
def test_probabilities_beat_chance(family: Family) -> None:
    inputs, label = frame()
    probability = fitted(family).predict_proba(inputs)
    assert probability.shape == (400, 2)
    assert np.corrcoef(probability[:, 1], label)[0, 1] > 0.4


@families
def test_unseen_categories_and_values_missing_for_the_first_time_are_tolerated(family: Family) -> None:
    inputs, _ = frame()
    strange = inputs.head(3).assign(colour=["violet", "", "red"], full=[np.nan, 1.0, np.nan])
    assert np.isfinite(fitted(family).predict_proba(strange)).all()


@families
def test_the_same_seed_gives_the_same_model(family: Family) -> None:
    inputs, _ = frame()
    assert np.array_equal(fitted(family).predict_proba(inputs), fitted(family).predict_proba(inputs))


@families
def test_it_survives_storage_without_pickle(family: Family) -> None:
    inputs, _ = frame()
    model = fitted(family)
    again = skops.io.loads(skops.io.dumps(model), trusted=TRUSTED)
    assert np.array_equal(model.predict_proba(inputs), again.predict_proba(inputs))


@families
def test_one_row_is_scored_as_in_company(family: Family) -> None:
    inputs, _ = frame()
    model = fitted(family)
    alone = np.vstack([model.predict_proba(inputs.iloc[[i]]) for i in range(20)])
    assert np.allclose(alone, model.predict_proba(inputs)[:20], rtol=0, atol=1e-12)


@families
def test_defaults_lie_within_the_search_space(family: Family) -> None:
    trial = optuna.trial.FixedTrial({f"{family.name}.{key}": value for key, value in family.defaults.items()})
    assert family.suggest(trial) == family.defaults  # type: ignore[arg-type]  # a FixedTrial answers like a Trial


@families
@pytest.mark.parametrize("columns", [["size"], ["colour"]])
def test_features_of_one_kind_alone_are_enough(family: Family, columns: list[str]) -> None:
    inputs, label = frame()
    some = inputs[columns]
    model = family.estimator(family.defaults, columns_of(some), seed=1, threads=1).fit(some, label)
    assert np.isfinite(model.predict_proba(some)).all()


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"'forest' is unknown. Choose from: xgboost, logistic"):
        choose_families(("xgboost", "forest"))
    with pytest.raises(SpecError, match="no family is named"):
        choose_families(())
