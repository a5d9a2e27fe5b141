"""`mlflow run .` as a person types it: one version from each kind of environment, and one sentence for bad input."""

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel.connections import login, secrets
from flywheel.settings import Settings
from flywheel.usecase import load_usecase

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of its own type hints while it is imported
    import mlflow.pyfunc  # noqa: F401
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import get_model_info
    from mlflow.tracking import MlflowClient

from training.data.frame_digest import frame_digest
from training.prepare import prepare

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SEATTLE = "examples/seattle-rain/usecase.yaml"
NAME = "seattle-rain"
DEFAULT_EXPERIMENT = "0"
# What the entry point `main` needs of the repository when neither pyproject.toml nor uv.lock are there.
BARE_PROJECT = ("MLproject", "conda.yaml", "platform", "training", "examples")

pytestmark = pytest.mark.timeout(300)


def run(*command: str, environment: dict[str, str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


def mlflow_run(
    *parameters: str, environment: dict[str, str], manager: str = "local", folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    words = [word for parameter in parameters for word in ("-P", parameter)]
    return run("mlflow", "run", ".", "--env-manager", manager, *words, environment=environment, folder=folder)


@pytest.fixture(scope="module")
def ada(stack: Settings) -> Iterator[dict[str, str]]:
    """Log ada in, here and in the environment that is returned for commands."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "FLYWHEEL_"))}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in login(stack, "ada").items():
            patch.setenv(name, value)
        yield {
            **kept,
            **login(stack, "ada"),
            "FLYWHEEL_HOME": str(stack.root),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }


@pytest.fixture(scope="module")
def clean(ada: dict[str, str]) -> Iterator[dict[str, str]]:
    """Give ada a home where MLflow never made an environment; what was downloaded once is not downloaded again."""
    cache = run("uv", "cache", "dir", environment=ada).stdout.strip()
    # Not pytest's folder: that stays for three sessions, and an environment weighs 1.5 GB.
    with tempfile.TemporaryDirectory(prefix="flywheel-home-") as home:
        yield {**ada, "HOME": home, "UV_CACHE_DIR": cache}


def versions() -> dict[tuple[str, str], ModelVersion]:
    return {(found.name, found.version): found for found in MlflowClient().search_model_versions()}


def only_new(before: dict[tuple[str, str], ModelVersion]) -> ModelVersion:
    fresh = [found for key, found in versions().items() if key not in before]
    assert len(fresh) == 1
    assert fresh[0].name == NAME
    return fresh[0]


@pytest.fixture(scope="module")
def trained(ada: dict[str, str]) -> ModelVersion:
    """Train once in the environment of the tests."""
    before = versions()
    done = mlflow_run(f"usecase={SEATTLE}", "trials=2", environment=ada)
    assert done.returncode == 0, done.stdout + done.stderr
    return only_new(before)


@pytest.fixture(scope="module")
def parent(trained: ModelVersion) -> Run:
    return MlflowClient().get_run(trained.run_id)


def test_a_plain_run_registers_one_version_of_ada_in_the_default_experiment(trained: ModelVersion, parent: Run) -> None:
    assert MlflowClient().get_model_version(NAME, trained.version).tags["flywheel.author"] == "ada"
    assert parent.info.experiment_id == DEFAULT_EXPERIMENT
    assert parent.info.status == "FINISHED"


def test_each_trial_is_a_nested_run_with_metrics_and_a_row_of_the_study_in_postgres(
    stack: Settings, parent: Run
) -> None:
    nested = MlflowClient().search_runs([DEFAULT_EXPERIMENT], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert sorted(child.data.tags["trial"] for child in nested) == ["0", "1"]
    assert all("validation_log_loss" in child.data.metrics for child in nested)
    engine = sa.create_engine(secrets(stack).databases["optuna"], poolclass=sa.NullPool)
    query = sa.text("SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = :study")
    with engine.connect() as connection:
        assert connection.scalar(query, {"study": parent.data.tags["study"]}) == 2


def test_the_run_holds_metrics_plots_and_a_digest_of_every_row(parent: Run) -> None:
    wanted = {"test_log_loss", "test_log_loss_low", "test_roc_auc", "baseline_log_loss", "validation_log_loss"}
    assert wanted <= set(parent.data.metrics)
    plots = {file.path for file in MlflowClient().list_artifacts(parent.info.run_id, "plots")}
    names = ("roc", "precision_recall", "calibration", "importance", "optimisation", "parallel")
    assert {f"plots/{name}.png" for name in names} <= plots
    files = {file.path for file in MlflowClient().list_artifacts(parent.info.run_id)}
    assert {"card.html", "card.md", "checks.html", "evaluation.json", "onnx.json", "requirements.lock"} <= files
    usecase = load_usecase(ROOT / SEATTLE)
    split = prepare(usecase, ROOT / SEATTLE, usecase.train.until).split
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    for data in parent.inputs.dataset_inputs:
        tags = {tag.key: tag.value for tag in data.tags}
        rows = split.frame(parts.pop(tags["mlflow.data.context"]))
        assert f'"num_rows": {rows.height}' in data.dataset.profile
        assert tags["sha256"] == frame_digest(rows).removeprefix("sha256:")
    assert parts == {}


def test_the_model_has_a_signature_and_an_input_example(trained: ModelVersion) -> None:
    info = get_model_info(f"models:/{NAME}/{trained.version}")
    assert info.signature is not None
    assert info.signature.inputs.input_names()[0] == "measured"
    assert info.signature.outputs.input_names() == ["probability"]
    assert info.saved_input_example_info is not None


def test_uv_makes_the_environment_in_the_repository_from_nothing(clean: dict[str, str]) -> None:
    before = versions()
    done = mlflow_run(f"usecase={SEATTLE}", "trials=1", environment=clean, manager="uv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(Path(clean["HOME"], ".mlflow", "envs").iterdir())) == 1
    only_new(before)


def test_uv_makes_the_environment_from_conda_yaml_where_no_lock_is(clean: dict[str, str], tmp_path: Path) -> None:
    for name in BARE_PROJECT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    before = versions()
    with tempfile.TemporaryDirectory(prefix="flywheel-environments-") as environments:
        done = mlflow_run(
            f"usecase={SEATTLE}",
            "trials=1",
            environment={**clean, "MLFLOW_ENV_ROOT": environments},
            manager="uv",
            folder=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert list(Path(environments).glob("*/lib/python3.11/site-packages/xgboost_cpu-*"))
    only_new(before)


@dataclass(frozen=True)
class Wrong:
    """Input that must be refused: what is said of it, and the command that says the same without MLflow in between."""

    sentence: str
    code: int
    direct: tuple[str, ...] = ("flywheel", "check", "{usecase}")
    change: tuple[str, str] = ("", "")
    path: str | None = None
    parameters: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


TRAINING = ("python", "-m", "training", "--usecase", "{usecase}")
WRONG = {
    "unknown key": Wrong("unknown key 'trian'. Remove it", 2, change=("train:", "trian:")),
    "missing column": Wrong(
        "Column 'snow_tomorrow' (data.label) is not in the source", 1, change=("rain_tomorrow", "snow_tomorrow")
    ),
    "wrong path": Wrong("Use case gone/usecase.yaml cannot be read", 2, path="gone/usecase.yaml"),
    "unknown parameter": Wrong(
        "No such option: --trails", 2, direct=(*TRAINING, "--trails", "2"), parameters=("trails=2",)
    ),
    "unreachable database": Wrong(
        "Optuna's database postgresql+psycopg2://ada:***@127.0.0.1:9/optuna cannot be used",
        1,
        direct=TRAINING,
        variables={"FLYWHEEL_OPTUNA_URL": "postgresql+psycopg2://ada:word@127.0.0.1:9/optuna"},
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_bad_input_is_the_same_sentence_with_and_without_mlflow_and_never_a_version(
    ada: dict[str, str], tmp_path: Path, wrong: Wrong
) -> None:
    shutil.copytree((ROOT / SEATTLE).parent, tmp_path / "rain")
    file = tmp_path / "rain" / "usecase.yaml"
    file.write_text(file.read_text().replace(*wrong.change))
    usecase, environment = wrong.path or str(file), {**ada, **wrong.variables}
    before = versions()
    through = mlflow_run(f"usecase={usecase}", *wrong.parameters, environment=environment)
    assert through.returncode == 1
    told = [line for line in through.stderr.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert wrong.sentence in told[0]
    assert "Traceback" not in through.stdout + through.stderr
    assert versions().keys() == before.keys()

    command = [word.format(usecase=usecase) for word in wrong.direct]
    direct = run(*command, environment={**environment, "PYTHONPATH": f"platform{os.pathsep}."})
    assert (direct.returncode, direct.stderr.splitlines(), direct.stdout) == (wrong.code, told, "")


def test_monitoring_through_mlflow_says_its_sentence(ada: dict[str, str]) -> None:
    words = [f"usecase={SEATTLE}", "start=soon", "end=2014-02-01", "as_of=2014-03-01"]
    command = ["mlflow", "run", ".", "-e", "monitor", "--env-manager", "local"]
    done = run(*command, *(part for word in words for part in ("-P", word)), environment=ada)
    assert done.returncode == 1
    assert "Error: --start 'soon' is no time." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
