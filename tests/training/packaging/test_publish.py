"""What a run shows and what the registry gets, on a real store; and what the next training finds there."""

import json
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sklearn.dummy import DummyClassifier
from typer.testing import CliRunner

from flywheel.errors import DataError
from tests.training.tiny_package import CLASSES, tiny_parts, tiny_rows
from training.data.frame_digest import frame_digest
from training.packaging.champion import Predecessor, Unable, fetch_version, find_predecessors
from training.packaging.model_code import encode, predict_matrix
from training.packaging.package import PackageParts, write_package
from training.packaging.publish import Results, log_dataset, log_model, log_results, register
from training.packaging.reproduce_cli import app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its store uses what SQLAlchemy 2.1 deprecates, and says so while it is imported
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's file with its tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """A tracking store and registry of its own, in one file."""
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    shutil.copyfile(empty, tmp_path / "mlflow.db")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("tiny")
    try:
        yield MlflowClient()
    finally:
        mlflow.set_tracking_uri(before)


def publish(parts: PackageParts, home: Path, results: Results | None = None) -> tuple[str, str]:
    """Write, log and register; return the run and the version's number."""
    package = home / "package"
    with mlflow.start_run() as run:
        lineage = write_package(package, parts)
        rows = tiny_rows(parts.task)
        for context, part in (("train", rows[:400]), ("test", rows[400:])):
            digest = frame_digest(part)
            log_dataset(part, name="tiny", context=context, label="label", source="rows.parquet", digest=digest)
        log_results(run.info.run_id, lineage, results or Results({"test_log_loss": 0.5}), package, MlflowClient())
        uri = log_model(package, parts.contract, parts.test.inputs, name="tiny", flavor=parts.flavor)
        version = register(uri, "tiny", lineage)
    return run.info.run_id, version


def test_a_run_shows_everything_and_the_version_carries_its_semantic_number(
    store: MlflowClient, tmp_path: Path
) -> None:
    parts = tiny_parts(tmp_path / "home")
    parts = replace(parts, lineage=parts.lineage.model_copy(update={"version_reason": "The first version."}))
    results = Results(
        metrics={"test_log_loss": 0.5, "rows": 3},
        params={"threads": 2},
        figures={"roc.png": Figure()},
        documents={"tables/slices.json": json.dumps([1])},
        diff="--- a\n+++ b\n",
    )
    run_id, version = publish(parts, tmp_path, results)
    run = store.get_run(run_id)
    assert run.data.metrics == {"test_log_loss": 0.5, "rows": 3.0}
    assert run.data.params.items() >= {"family": "hist_gradient_boosting", "seed": "7", "threads": "2"}.items()
    assert run.data.tags["semver"] == "1.0.0"
    kept = {part.path for part in store.list_artifacts(run_id)}
    assert kept >= {"card.html", "card.md", "checks.html", "dirty.diff", "plots", "tables", "onnx.json"}
    contexts = [
        tag.value for item in run.inputs.dataset_inputs for tag in item.tags if tag.key == "mlflow.data.context"
    ]
    assert sorted(contexts) == ["test", "train"]
    registered = store.get_model_version("tiny", version)
    assert registered.tags == {"semver": "1.0.0", "semver_reason": "The first version."}


def test_without_versions_there_are_no_predecessors(store: MlflowClient, tmp_path: Path) -> None:
    found = find_predecessors("tiny", tmp_path / "packages")
    assert (found.champion, found.newest) == (None, None)


def test_champion_and_newest_are_found_and_predict_for_raw_rows(store: MlflowClient, tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")
    publish(parts, tmp_path / "one")
    publish(tiny_parts(tmp_path / "other", family="xgboost"), tmp_path / "two")
    store.set_registered_model_alias("tiny", "champion", "1")
    with mlflow.start_run():
        plain = mlflow.sklearn.log_model(DummyClassifier().fit([[0]], [0]), name="plain", pip_requirements=["mlflow"])
    mlflow.register_model(plain.model_uri, "tiny")
    found = find_predecessors("tiny", tmp_path / "packages")
    assert found.champion is not None
    assert found.newest is not None
    assert (found.champion.version, found.newest.version) == ("1", "2")  # version 3 holds no package
    assert found.newest.package.lineage.family == "xgboost"
    assert found.champion.package.data_profile.is_file()
    expected = predict_matrix(parts.model, encode(parts.features, parts.columns.document()), "binary")
    assert np.array_equal(predictions(found.champion, parts.test.inputs), expected)
    with pytest.raises(DataError, match="no version 9"):
        fetch_version("tiny", "9", tmp_path / "packages")
    with pytest.raises(DataError, match="Version 3 of 'tiny' holds no package"):
        fetch_version("tiny", "3", tmp_path / "packages")


def predictions(version: Predecessor, inputs: pl.DataFrame) -> Any:
    found = version.predict(inputs, "binary")
    assert not isinstance(found, Unable), found
    return found


def test_a_champion_that_cannot_be_compared_says_why(store: MlflowClient, tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home", "multiclass")
    publish(parts, tmp_path / "one")
    store.set_registered_model_alias("tiny", "champion", "1")
    champion = find_predecessors("tiny", tmp_path / "packages").champion
    assert champion is not None
    rows = parts.test.inputs
    assert champion.predict(rows, "binary") == Unable("Version 1 is of task multiclass, not binary.")
    gone = champion.predict(rows.drop("rank"), "multiclass", CLASSES)
    assert gone == Unable("Version 1 asks for input 'rank', which the data no longer has.")
    assert champion.predict(rows, "multiclass", (*CLASSES, "new")) == Unable(
        "Version 1 does not answer 'probability_new'."
    )
    fewer = champion.predict(rows, "multiclass", CLASSES[:2])
    assert fewer == Unable("Version 1 knows the class of 'probability_wild', which the data no longer has.")
    other = champion.predict(rows.with_columns(pl.col("rank").cast(pl.String)), "multiclass", CLASSES)
    assert isinstance(other, Unable)
    assert "'rank', row 0: takes a whole number" in other.reason
    turned = champion.predict(rows.drop("count"), "multiclass", CLASSES[::-1])  # a nullable column may be gone
    straight = champion.predict(rows.drop("count"), "multiclass", CLASSES)
    assert not isinstance(turned, Unable)
    assert not isinstance(straight, Unable)
    assert np.array_equal(turned[:, ::-1], straight)


@pytest.mark.parametrize("family", ["xgboost", "hist_gradient_boosting", "random_forest", "logistic"])
def test_a_version_is_reproduced_bit_for_bit(store: MlflowClient, tmp_path: Path, family: str) -> None:
    publish(tiny_parts(tmp_path / "home", family=family), tmp_path)
    done = CliRunner().invoke(app, ["tiny", "1", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["identical"] is report["model_identical"] is report["predictions_identical"] is True
    assert report["versions"] == []


def test_a_reproduction_that_differs_exits_1_and_other_data_are_refused(store: MlflowClient, tmp_path: Path) -> None:
    parts = tiny_parts(tmp_path / "home")
    other = parts.lineage.model_copy(update={"params": {**parts.lineage.params, "learning_rate": 0.2}})
    publish(replace(parts, lineage=other), tmp_path)
    done = CliRunner().invoke(app, ["tiny", "1"], catch_exceptions=False)
    assert done.exit_code == 1
    assert "NOT identical (predictions differ by up to 0." in done.stdout
    rows = tiny_rows("binary")
    rows.with_columns(pl.col("size") * 2).write_parquet(tmp_path / "home" / "rows.parquet")
    with pytest.raises(DataError, match="columns with other values: size"):
        CliRunner().invoke(app, ["tiny", "1"], catch_exceptions=False)
    rows.head(550).write_parquet(tmp_path / "home" / "rows.parquet")
    with pytest.raises(DataError, match="600 labelled rows then, 550 now"):
        CliRunner().invoke(app, ["tiny", "1"], catch_exceptions=False)


def test_a_package_that_fails_leaves_no_version(store: MlflowClient, tmp_path: Path) -> None:
    parts = replace(tiny_parts(tmp_path / "home"), flavor="nothing")
    with pytest.raises(DataError):
        publish(parts, tmp_path)
    with pytest.raises(MlflowException):
        store.get_registered_model("tiny")
    assert store.search_model_versions("name = 'tiny'") == []
