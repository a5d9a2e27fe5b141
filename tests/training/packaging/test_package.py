"""The package: everything the model needs, nothing of a person, no pickle, and the same answers as the fitted model."""

import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from flywheel.contract import Contract
from flywheel.errors import DataError
from flywheel.package import Lineage
from flywheel.profile import read_profile
from flywheel.usecase import Task, load_usecase
from tests.training.tiny_package import CLASSES, TEST, TYPES, tiny_parts
from training.arguments import with_rows
from training.families.catalogue import BUILT_IN
from training.packaging.model_code import FlywheelModel, calibrate, encode, predict_matrix
from training.packaging.package import PackageParts, write_package

EVERY = [(family.name, task) for family in BUILT_IN for task in sorted(family.tasks)]
PLATT = {"method": "platt", "a": [1.2] * 3, "b": [0.1] * 3}


def load(package: Path) -> FlywheelModel:
    model = FlywheelModel()
    model.load_context(SimpleNamespace(artifacts={"package": str(package)}))
    return model


def expected(parts: PackageParts) -> np.ndarray[Any, np.dtype[np.float64]]:
    matrix = encode(parts.features, parts.columns.document())
    return calibrate(predict_matrix(parts.model, matrix, parts.task), dict(parts.calibration))


@pytest.mark.parametrize(("family", "task"), EVERY)
def test_the_packaged_model_answers_as_training_does_and_holds_no_pickle(
    tmp_path: Path, family: str, task: Task
) -> None:
    parts = tiny_parts(tmp_path / "home", task, family, calibration=None if task == "regression" else PLATT)
    write_package(tmp_path / "package", parts)
    found = load(tmp_path / "package").predict(None, parts.test.inputs.to_pandas())
    numbers = found.drop(columns="prediction") if task == "multiclass" else found
    assert np.array_equal(numbers.to_numpy().squeeze(), expected(parts))
    for path in (path for path in (tmp_path / "package").rglob("*") if path.is_file()):
        assert path.suffix not in (".pkl", ".pickle", ".joblib")
        assert not path.read_bytes().startswith(b"\x80\x04"), path
        if zipfile.is_zipfile(path):
            assert not [name for name in zipfile.ZipFile(path).namelist() if "pickle" in name or "pkl" in name]


def test_outputs_are_named_by_task(tmp_path: Path) -> None:
    inputs: dict[Task, list[str]] = {
        "binary": ["probability", "decision"],
        "multiclass": ["prediction", *(f"probability_{name}" for name in CLASSES)],
        "regression": ["prediction"],
    }
    for task, names in inputs.items():
        parts = tiny_parts(tmp_path / task, task, threshold=0.3 if task == "binary" else None)
        write_package(tmp_path / f"{task}-package", parts)
        found = load(tmp_path / f"{task}-package").predict(None, parts.test.inputs.to_pandas())
        assert list(found.columns) == names == [output.name for output in parts.contract.outputs]
        if task == "binary":
            assert (found["decision"] == (found["probability"] >= 0.3)).all()
            assert found["decision"].dtype == bool
        if task == "multiclass":
            best = found.drop(columns="prediction").idxmax(axis=1).str.removeprefix("probability_")
            assert (best == found["prediction"]).all()


def test_two_versions_with_other_features_live_in_one_process(tmp_path: Path) -> None:
    first = tiny_parts(tmp_path / "one")
    write_package(tmp_path / "first", first)
    second = tiny_parts(tmp_path / "two")
    other = (tmp_path / "two" / "features.py").read_text().replace("* 2", "* 3")
    (tmp_path / "two" / "features.py").write_text(other)
    write_package(tmp_path / "second", second)
    one, two = load(tmp_path / "first"), load(tmp_path / "second")
    frame = first.test.inputs.to_pandas()
    before = one.predict(None, frame)
    two.predict(None, frame)
    assert one.features is not two.features
    assert before.equals(one.predict(None, frame))


def test_the_package_holds_no_key_and_reads_back(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")
    folder = tmp_path / "package"
    lineage = write_package(folder, parts)
    reference = pl.read_parquet(folder / "reference.parquet")
    assert reference.columns == [*TYPES, "prediction", "label"]
    profile = read_profile(folder / "profile.json")
    assert profile.rows == TEST == profile.reference.rows
    assert profile.reference.standard_error > 0
    assert {column.name for column in profile.columns} == set(TYPES)
    assert Contract.model_validate_json((folder / "contract.json").read_text()) == parts.contract
    assert Lineage.model_validate_json((folder / "lineage.json").read_text()) == lineage
    assert lineage.model_digest.startswith("sha256:")
    assert json.loads((folder / "decision.json").read_text()) == {"threshold": None}
    assert '"k1"' not in "".join(path.read_text() for path in folder.glob("*.json"))
    assert (folder / "checks.html").read_text() == parts.checks_html
    assert (folder / "requirements.lock").read_text() == parts.lock


def test_what_a_training_was_told_beside_its_file_stands_in_the_package(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")
    write_package(tmp_path / "same", parts)
    assert (tmp_path / "same" / "usecase.yaml").read_bytes() == parts.usecase_path.read_bytes()
    told = with_rows(parts.usecase, {"window": timedelta(days=90), "half_life": timedelta(days=60)})
    write_package(tmp_path / "told", replace(parts, usecase=told))
    assert load_usecase(tmp_path / "told" / "usecase.yaml") == told


def test_the_sample_s_answers_are_the_packaged_model_s_and_its_predictions_the_held_out_ones(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home", threshold=0.4)
    held_out = np.linspace(0.1, 0.9, TEST)  # of a model that had not seen the rows
    write_package(tmp_path / "package", replace(parts, test=replace(parts.test, prediction=held_out)))
    sample = pl.read_parquet(tmp_path / "package" / "reference.parquet")
    answers = pl.read_parquet(tmp_path / "package" / "answers.parquet")
    assert sample["prediction"].to_list() == held_out.tolist()
    served = load(tmp_path / "package").predict(None, sample.select(*TYPES).to_pandas())
    assert answers.equals(pl.from_pandas(served))


def test_profiles_fit_every_task(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "many", "multiclass")
    write_package(tmp_path / "classes", parts)
    classes = read_profile(tmp_path / "classes" / "profile.json")
    assert set(classes.prediction.categories) <= set(CLASSES)
    assert classes.prediction.type == "string"
    assert classes.reference.roc_auc is None
    assert set(pl.read_parquet(tmp_path / "classes" / "reference.parquet")["label"]) == set(CLASSES)
    write_package(tmp_path / "numbers", tiny_parts(tmp_path / "number", "regression"))
    numbers = read_profile(tmp_path / "numbers" / "profile.json")
    assert numbers.reference.loss_name == "squared_error"
    assert len(numbers.prediction.quantiles) == 101


class Home:
    """A model of a class that only this test has."""

    def predict_proba(self, matrix: Any) -> Any:
        return np.full((len(matrix), 2), 0.5)


def test_a_model_that_nobody_could_load_is_found_at_writing(tmp_path: Path) -> None:
    parts = replace(tiny_parts(tmp_path / "home"), model=Home())
    with pytest.raises(DataError, match=r"cannot be stored as flavour 'sklearn'|no installed package brings"):
        write_package(tmp_path / "package", parts)
    own = replace(parts, model=tiny_parts(tmp_path / "own").model)
    own.model.predict_proba = lambda matrix: np.full((len(matrix), 2), 0.5)
    with pytest.raises(DataError, match="no installed package brings"):
        write_package(tmp_path / "own-package", own)
    with pytest.raises(DataError, match="cannot store models of flavour 'nothing'"):
        write_package(tmp_path / "other", replace(parts, flavor="nothing"))
