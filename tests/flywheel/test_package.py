"""A folder that is no package, or a damaged one, is refused before anything loads it."""

import subprocess
import sys
from pathlib import Path

import pytest

from flywheel.errors import IntegrityError
from flywheel.package import INSIDE, read_package


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="holds no model package"):
        read_package(tmp_path)


def test_a_damaged_use_case_names_the_package(tmp_path: Path) -> None:
    (tmp_path / INSIDE).mkdir(parents=True)
    (tmp_path / "MLmodel").touch()
    with pytest.raises(IntegrityError, match="is damaged: Use case"):
        read_package(tmp_path)
    (tmp_path / INSIDE / "usecase.yaml").write_text("name: some-case\n")
    with pytest.raises(IntegrityError, match="key 'data' is missing"):
        read_package(tmp_path)


def test_reading_needs_no_heavy_import() -> None:
    code = "import sys, flywheel.package; print(*{'mlflow', 'pandas', 'polars', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
