"""`flywheel worker` joins a study, or says in one sentence why not."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flywheel.errors import UsageError
from tests.training.tiny_dataset import planned, usecase, write
from training.search import worker_cli
from training.search.search import search

HERE = Path(__file__).parent


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    shutil.copy(HERE / "gated_family.py", tmp_path)
    path = tmp_path / "usecase.yaml"
    document = usecase(families=["gated_family.py"]).model_dump(mode="json", exclude_defaults=True)
    document["data"]["label"]["available_after"] = "1h"
    document["train"]["validation"] = "3d"
    path.write_text(yaml.safe_dump(document))
    return path


def test_it_joins_and_says_what_it_did(case_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    monkeypatch.setenv("GATE", str(tmp_path))
    monkeypatch.setenv("FLYWHEEL_OPTUNA_URL", url)
    case = usecase(families=["gated_family.py"])
    dataset = write(tmp_path, case)
    plan = planned(tmp_path, case, dataset, trials=1)
    search(plan, dataset, url, lambda _: None)
    result = CliRunner().invoke(worker_cli.app, [str(case_file), "--study", plan.study])
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"Ran 0 trials of study {plan.study}.\n"
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_without_a_login_it_says_how_to_log_in(case_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYWHEEL_OPTUNA_URL", raising=False)
    result = CliRunner().invoke(worker_cli.app, [str(case_file), "--study", "any"])
    assert isinstance(result.exception, UsageError)
    assert "FLYWHEEL_OPTUNA_URL is not set" in str(result.exception)


def test_its_help_has_an_example() -> None:
    result = CliRunner().invoke(worker_cli.app, ["--help"])
    assert "Example: flywheel worker examples/flights/usecase.yaml" in result.stdout
