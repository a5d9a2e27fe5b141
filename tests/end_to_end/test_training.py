"""From a table to a version that can be made again, on a running stack: init, check, train, reproduce."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from flywheel.connections import login
from flywheel.package import read_package
from flywheel.settings import Settings
from tests.training.conftest import tiny_rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
    import mlflow
    from mlflow.tracking import MlflowClient

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def ada(stack: Settings) -> Iterator[dict[str, str]]:
    """Log ada in, here and in the environment that is returned for commands."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "FLYWHEEL_"))}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in login(stack, "ada").items():
            patch.setenv(name, value)
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        roots = f"{ROOT / 'platform'}{os.pathsep}{ROOT}"
        yield {**kept, **login(stack, "ada"), "FLYWHEEL_HOME": str(stack.root), "PATH": path, "PYTHONPATH": roots}


def run(environment: dict[str, str], folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=380, check=False
    )


def train(environment: dict[str, str], folder: Path, usecase: Path, trials: int) -> subprocess.CompletedProcess[str]:
    words = ("--usecase", str(usecase), "--trials", str(trials))
    return run(environment, folder, "python", "-m", "training", *words)


def test_a_table_becomes_a_version_that_is_made_again_bit_for_bit(ada: dict[str, str], tmp_path: Path) -> None:
    tiny_rows().write_csv(tmp_path / "rows.csv")
    words = ("rows.csv", "--label", "good", "--event-time", "at", "--entity", "key", "--name", "from-a-table")
    made = run(ada, tmp_path, "flywheel", "init", *words)
    assert made.returncode == 0, made.stderr
    usecase = tmp_path / "from-a-table" / "usecase.yaml"
    checked = run(ada, tmp_path, "flywheel", "check", str(usecase))
    assert checked.returncode == 0, checked.stderr
    assert "is a valid use case" in checked.stdout
    done = train(ada, tmp_path, usecase, 3)
    assert done.returncode == 0, done.stderr
    assert "from-a-table version 1 (1.0.0)" in done.stdout
    again = run(ada, tmp_path, "flywheel", "reproduce", "from-a-table", "1")
    assert (again.returncode, "bit-identical" in again.stdout) == (0, True), again.stdout + again.stderr
    rows = pl.read_csv(tmp_path / "rows.csv").with_columns(size=pl.col("size") * 2)
    rows.write_csv(tmp_path / "rows.csv")
    changed = run(ada, tmp_path, "flywheel", "reproduce", "from-a-table", "1")
    assert changed.returncode == 1
    assert "size" in changed.stderr
    assert len(changed.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("example", "outputs"),
    [
        ("airports", {"prediction"}),
        (
            "laguardia",
            {"prediction", *(f"probability_{name}" for name in ("on_time", "late", "very_late", "cancelled"))},
        ),
    ],
)
def test_numbers_and_classes_go_the_same_way(
    ada: dict[str, str], tmp_path: Path, example: str, outputs: set[str]
) -> None:
    usecase = ROOT / "examples" / example / "usecase.yaml"
    done = train(ada, ROOT, usecase, 1)
    assert done.returncode == 0, done.stderr
    name = done.stdout.split(" version ")[0].splitlines()[-1]
    version = max(MlflowClient().search_model_versions(f"name='{name}'"), key=lambda found: int(found.version))
    assert version.tags["semver"].startswith("1.")
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version.version}", dst_path=str(tmp_path)))
    package = read_package(folder)
    model = mlflow.pyfunc.load_model(str(folder))
    sample = pl.read_parquet(package.reference).drop("prediction", "label").head(20)
    answers = model.predict(sample.to_pandas())
    assert set(answers.columns) == outputs == {output.name for output in package.contract.outputs}
    assert answers.notna().all(axis=None)
    onnx = (folder / "artifacts/package/onnx.json").read_text()
    assert '"available": true' in onnx


def test_data_that_break_their_contract_register_nothing_and_leave_the_report_on_a_failed_run(
    ada: dict[str, str], tmp_path: Path
) -> None:
    rows = tiny_rows()
    pl.concat([rows, rows[3:5]]).sort("at").write_csv(tmp_path / "rows.csv")
    (tmp_path / "features.py").write_text("def features(frame):\n    return frame.select('size', 'colour')\n")
    usecase = tmp_path / "usecase.yaml"
    usecase.write_text(
        "name: twice\n"
        "data:\n"
        "  source: {kind: csv, path: rows.csv}\n"
        "  entity: key\n"
        "  event_time: at\n"
        "  label: {column: good, available_after: 1d}\n"
        "train: {validation: 5d}\n"
    )
    done = train(ada, tmp_path, usecase, 1)
    assert done.returncode == 1
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "the same key and at as an earlier row" in sentence
    assert "k3" in sentence
    client = MlflowClient()
    assert client.search_model_versions("name='twice'") == []
    experiment = client.get_experiment_by_name("twice")
    assert experiment is not None
    (failed,) = client.search_runs([experiment.experiment_id])
    assert failed.info.status == "FAILED"
    assert [file.path for file in client.list_artifacts(failed.info.run_id)] == ["checks.html"]
