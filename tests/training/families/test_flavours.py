"""What families make can be stored: as ONNX where that is promised, and by the MLflow flavour that they name."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import polars as pl
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from flywheel.usecase import Task
from tests.training.tiny_dataset import AS_OF, planned, rows, usecase, write
from training.data.encoding import write_dataset
from training.data.prediction import predict_matrix
from training.data.split import split
from training.families.catalogue import BUILT_IN
from training.families.protocol import Family
from training.search.search import search
from training.search.trial import fit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
    import mlflow.statsmodels

HERE = Path(__file__).parent
PIPELINES = [family for family in BUILT_IN if family.name in ("random_forest", "logistic", "linear")]
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
CASES = [(family, task) for family in PIPELINES for task in TASKS if task in family.tasks]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("family", "task"), CASES, ids=[f"{family.name}-{task}" for family, task in CASES])
def test_pipelines_convert_to_onnx_and_give_the_same_answers(family: Family, task: Task, tmp_path: Path) -> None:
    dataset = write(tmp_path, usecase(task))
    model = fit(family, family.defaults(task), dataset, dataset.folds[-1].train, seed=1, threads=1).model
    options = {id(model): {"zipmap": False}} if task != "regression" else None
    converted = to_onnx(model, initial_types=[("X", FloatTensorType([None, 4]))], options=options, target_opset=17)
    session = ort.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    strange = np.array([[np.nan] * 4, [0.0, 0.0, 7.0, 0.0]], dtype=np.float32)  # missing, and a code never seen
    matrix = np.vstack([dataset.matrix, strange])
    answer = session.run(None, {"X": matrix})[-1]
    answer = answer[:, 1] if task == "binary" else answer.reshape(predict_matrix(model, matrix, task).shape)
    assert np.allclose(answer, predict_matrix(model, matrix, task), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_family_of_statsmodels_is_searched_stored_and_asked_through_mlflow(task: Task, tmp_path: Path) -> None:
    case = usecase(task, families=["glm_family.py"])
    made = split(rows(task).with_columns(pl.col("x").fill_null(0.0)), case, AS_OF)
    dataset = write_dataset(tmp_path / "dataset", made.rows.select("x", "noise", "flag"), made, task)
    url = f"sqlite:///{tmp_path}/optuna.db"
    found = search(planned(HERE, case, dataset, trials=3), dataset, url, lambda _: None)
    assert {trial.state for trial in found.trials} == {"complete"}
    model = fit(found.family, found.params, dataset, dataset.everything, seed=1, threads=1).model
    assert not hasattr(model, "predict_proba")
    mlflow.statsmodels.save_model(model, tmp_path / "model", pip_requirements=[])
    again = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    own = predict_matrix(model, dataset.matrix, task)
    assert own.shape == (500,)
    assert np.array_equal(predict_matrix(again, dataset.matrix.astype(np.float64), task), own)
