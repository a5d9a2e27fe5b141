"""conda.yaml agrees with uv.lock, so that `mlflow run --env-manager uv` runs what the lock says."""

import tomllib

from training.environment import ROOT, conda_yaml, pins, slimmer


def test_conda_yaml_is_what_the_lock_says() -> None:
    assert (ROOT / "conda.yaml").read_text() == conda_yaml(ROOT), "run: python -m training.environment"


def test_every_direct_requirement_of_the_entry_points_is_pinned() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = ("training", "monitoring", "examples", "tracking", "database", "log")
    wanted = [line for extra in names for line in extras[extra] if not line.startswith("flywheel-mlops")]
    pinned = {pin.split("==")[0] for pin in pins(ROOT)}
    for line in wanted:
        name = line.split("==")[0].split(">")[0].split("<")[0].split("[")[0].strip()
        assert slimmer(f"{name}==0").split("==")[0] in pinned


def test_no_gpu_library_is_wanted() -> None:
    assert not [pin for pin in pins(ROOT) if pin.startswith(("nvidia", "xgboost=="))]


def test_the_lock_installs_what_the_entry_points_need_without_naming_an_extra() -> None:
    """MLflow runs `uv sync --frozen --no-dev`, which takes the default groups but `dev`, and no extra."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert document["tool"]["uv"]["default-groups"] == ["dev", "mlproject"]
    assert document["dependency-groups"]["mlproject"] == ["flywheel-mlops[training,monitoring,examples]"]


def test_the_project_is_described_without_other_files() -> None:
    """MLflow copies pyproject.toml and uv.lock away and builds the project there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "text" in project["readme"]
    assert "license-files" not in project
