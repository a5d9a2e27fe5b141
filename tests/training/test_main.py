"""`python -m training`: whatever is wrong is one sentence on standard error, and no version appears."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

ROOT = Path(__file__).parents[2]


def run(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "FLYWHEEL_"))}
    environment = kept | {
        "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "FLYWHEEL_OPTUNA_URL": f"sqlite:///{home}/optuna.db",
        "OMP_WAIT_POLICY": "PASSIVE",
        **variables,
    }
    command = [sys.executable, "-m", "training", *words]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def assert_one_sentence(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--usecase", "gone.yaml"], "Use case gone.yaml cannot be read"),
        (["--usecase", "usecase.yaml", "--extra", "7"], "No such option: --extra"),
        ([], "Missing option '--usecase'"),
        (["--usecase", "usecase.yaml", "--as-of", "soon"], "as_of 'soon' is no time"),
        (["--usecase", "usecase.yaml", "--trials", "many"], "trials 'many' is no whole number"),
        (["--usecase", "usecase.yaml", "--window", "long"], "window 'long' is no length of time"),
        (["--usecase", "usecase.yaml", "--half-life", "0d"], "half_life '0d' is no time at all"),
        (["--usecase", "usecase.yaml", "--like", "2"], "like '2' is nothing to train like. Write champion"),
    ],
)
def test_wrong_use_ends_with_2(
    write_usecase: Callable[..., Path], tmp_path: Path, words: list[str], sentence: str
) -> None:
    write_usecase()
    assert_one_sentence(run(tmp_path, *words), 2, sentence)


@pytest.mark.parametrize(
    ("variables", "code", "sentence"),
    [
        ({"MLFLOW_TRACKING_URI": ""}, 2, "MLFLOW_TRACKING_URI is not set"),
        ({"FLYWHEEL_OPTUNA_URL": ""}, 2, "FLYWHEEL_OPTUNA_URL is not set"),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, 1, "MLflow at http://127.0.0.1:9 does not answer"),
        (
            {"FLYWHEEL_OPTUNA_URL": "postgresql+psycopg2://someone:secret@127.0.0.1:9/optuna"},
            1,
            "Optuna's database postgresql+psycopg2://someone:***@127.0.0.1:9/optuna cannot be used",
        ),
    ],
)
def test_what_cannot_be_reached_is_named_without_its_secret(
    write_usecase: Callable[..., Path], tmp_path: Path, variables: dict[str, str], code: int, sentence: str
) -> None:
    write_usecase()
    done = run(tmp_path, "--usecase", "usecase.yaml", **variables)
    assert_one_sentence(done, code, sentence)
    assert "secret@" not in done.stderr


@pytest.mark.filterwarnings("ignore:The ``noload`` loader")  # MLflow 3.17 on SQLAlchemy 2.1, at its first import
def test_a_fault_of_the_data_is_one_sentence_and_leaves_nothing(
    write_usecase: Callable[..., Path], tmp_path: Path
) -> None:
    write_usecase(features="def features(frame):\n    return frame.select('weight')\n")
    done = run(tmp_path, "--usecase", "usecase.yaml")
    assert_one_sentence(done, 1, "features(frame) raised ColumnNotFoundError")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert client.search_registered_models() == []
    assert client.search_runs([found.experiment_id for found in client.search_experiments()]) == []


@pytest.mark.filterwarnings("ignore:The ``noload`` loader")
def test_a_refusal_ends_with_4_and_is_told_to_who_started_it(
    write_usecase: Callable[..., Path], tmp_path: Path
) -> None:
    write_usecase()
    told = tmp_path / "told"
    done = run(tmp_path, "--usecase", "usecase.yaml", "--like", "champion", FLYWHEEL_REFUSAL=str(told))
    assert_one_sentence(done, 4, "'tiny' has no champion")
    assert done.stderr == f"Error: {told.read_text()}\n"


def test_debug_shows_where_it_happened(tmp_path: Path) -> None:
    done = run(tmp_path, "--usecase", "gone.yaml", FLYWHEEL_DEBUG="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
