"""The ONNX form answers as the model does, for every task and family, or the package says why there is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neighbors import KNeighborsClassifier

from flywheel.contract import outputs_of
from flywheel.onnx_session import open_session
from flywheel.usecase import Task
from tests.training.tiny_package import CLASSES, tiny_parts
from training.data.dataset import Columns
from training.families.catalogue import BUILT_IN
from training.packaging.model_code import calibrate, encode, predict_matrix
from training.packaging.onnx_form import TOLERANCE, differences, onnx_inputs, write_onnx
from training.packaging.onnx_graph import OnnxParts
from training.packaging.package import PackageParts

EVERY = [(family.name, task) for family in BUILT_IN for task in sorted(family.tasks)]
POINTS = [0.0, 0.1, 0.35, 0.35, 0.6, 0.9]
LEVELS = [0.02, 0.15, 0.3, 0.4, 0.5, 0.97]
CORRECTIONS: list[dict[str, Any]] = [
    {"method": "none"},
    {"method": "platt", "a": [1.3, 0.8, 1.1], "b": [0.2, -0.1, 0.0]},
    {"method": "isotonic", "x": [POINTS] * 3, "y": [LEVELS] * 3},
]


def form(parts: PackageParts, calibration: dict[str, Any]) -> OnnxParts:
    return OnnxParts(
        model=parts.model,
        columns=parts.columns,
        task=parts.task,
        classes=parts.classes,
        calibration=calibration,
        threshold=0.4 if parts.task == "binary" else None,
        outputs=outputs_of(parts.task, parts.classes, has_threshold=parts.task == "binary"),
    )


def strange(features: pl.DataFrame) -> pl.DataFrame:
    """Return the features with categories that training never saw, and more missing values."""
    place = pl.int_range(pl.len())
    return features.with_columns(
        colour=pl.when(place % 5 == 0).then(pl.lit("violet")).otherwise("colour"),
        hour=pl.when(place % 3 == 0).then(None).otherwise("hour"),
    )


@pytest.mark.parametrize(("family", "task"), EVERY)
def test_every_family_and_task_has_a_faithful_form(tmp_path: Path, family: str, task: Task) -> None:
    parts = tiny_parts(tmp_path / "home", task, family)
    features = strange(parts.features)
    matrix = encode(features, parts.columns.document())
    for calibration in CORRECTIONS[: 1 if task == "regression" else 3]:
        own = form(parts, calibration)
        report = write_onnx(tmp_path, own, features)
        assert report["available"], report
        assert report["largest_difference"] <= TOLERANCE
        assert json.loads((tmp_path / "onnx.json").read_text()) == report
        assert min(report["onnx_microseconds"], report["model_microseconds"]) > 0
        expected = calibrate(predict_matrix(parts.model, matrix, task), calibration)
        session = open_session(tmp_path / "model.onnx")
        answers = dict(zip(report["outputs"], session.run(None, onnx_inputs(features, parts.columns)), strict=True))
        assert list(answers) == [output.name for output in own.outputs]
        check_answers(answers, expected, task)


def check_answers(answers: dict[str, Any], expected: np.ndarray[Any, Any], task: Task) -> None:
    if task == "multiclass":
        found = np.column_stack([answers[f"probability_{name}"] for name in CLASSES])
        assert np.allclose(found, expected, atol=TOLERANCE)
        assert np.mean(answers["prediction"] == np.asarray(CLASSES)[expected.argmax(axis=1)]) > 0.98  # but for ties
    elif task == "regression":
        assert np.allclose(answers["prediction"], expected, rtol=TOLERANCE)
    else:
        assert np.allclose(answers["probability"], expected, atol=TOLERANCE)
        assert np.array_equal(answers["decision"], answers["probability"] >= 0.4)


def test_a_category_that_the_model_never_saw_goes_the_way_of_missing_ones(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    columns = Columns(("kind", "x"), (tuple("abcdef"), None))
    codes = random.choice([0, 2, 5], size=400).astype(np.float32)
    matrix = np.column_stack([codes, random.normal(size=400)]).astype(np.float32)
    matrix[::9, 0] = np.nan
    label = (codes == 2) * 3.0 + matrix[:, 1] + np.isnan(matrix[:, 0]) * 2
    model = HistGradientBoostingRegressor(max_iter=10, categorical_features=[True, False]).fit(matrix, label)
    own = OnnxParts(model, columns, "regression", (), {"method": "none"}, None, outputs_of("regression"))
    features = pl.DataFrame({"kind": [*"abcdef", None, "new"], "x": [0.1] * 8})
    report = write_onnx(tmp_path, own, features)
    assert report["available"], report
    assert report["largest_difference"] < 1e-12


def test_a_model_without_splits_has_a_form(tmp_path: Path) -> None:
    matrix = np.ones((60, 1), np.float32)
    model = HistGradientBoostingRegressor(max_iter=3).fit(matrix, np.arange(60.0))
    own = OnnxParts(
        model, Columns(("x",), (None,)), "regression", (), {"method": "none"}, None, outputs_of("regression")
    )
    assert write_onnx(tmp_path, own, pl.DataFrame({"x": [1.0, None]}))["available"]


def test_a_form_that_answers_otherwise_is_not_kept_and_the_reason_is(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")
    good = form(parts, {"method": "none"})

    class Other:
        """Answers something else than the graph made from it."""

        __class__ = type(parts.model)

        def __getattr__(self, name: str) -> Any:
            return getattr(parts.model, name)

        def predict_proba(self, matrix: Any) -> Any:
            return np.clip(parts.model.predict_proba(matrix) + 0.01, 0, 1)

    report = write_onnx(tmp_path, OnnxParts(**{**vars(good), "model": Other()}), parts.features)
    assert not report["available"]
    assert f"of {parts.features.height} rows differ by more than 1e-05" in report["reason"]
    assert not (tmp_path / "model.onnx").exists()
    assert json.loads((tmp_path / "onnx.json").read_text())["reason"] == report["reason"]


def test_what_cannot_be_converted_says_why(tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")

    class Unknown(KNeighborsClassifier):  # type: ignore[misc]  # scikit-learn has no types
        """A model that no converter knows."""

    model = Unknown().fit(np.zeros((6, len(parts.columns.names))), [0, 1] * 3)
    report = write_onnx(tmp_path, OnnxParts(**{**vars(form(parts, CORRECTIONS[0])), "model": model}), parts.features)
    assert not report["available"]
    assert "Unknown" in report["reason"]
    empty = Columns(("kind",), (("", "a"),))
    nameless = OnnxParts(parts.model, empty, "binary", (), {"method": "none"}, None, outputs_of("binary"))
    reason = write_onnx(tmp_path, nameless, pl.DataFrame({"kind": ["a"]}))["reason"]
    assert "Feature 'kind' has \"\" as a category" in reason
    assert not (tmp_path / "model.onnx").exists()


def test_differences_are_absolute_up_to_one_and_relative_beyond() -> None:
    found = differences(np.array([[0.5], [1001.0]]), np.array([0.4, 1000.0]))
    assert np.allclose(found, [0.1, 0.001])
