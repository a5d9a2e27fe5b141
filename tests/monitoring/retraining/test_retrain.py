"""The command that is run, and where."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flywheel.errors import UsageError
from flywheel.usecase import Data, Label, Source, UseCase
from monitoring.retraining.retrain import Retraining, command_of, project_folder
from monitoring.retraining.rows import RowWindow

START = datetime(2013, 5, 2)
USE_CASE = UseCase(
    name="flights-delay",
    data=Data(source=Source(kind="python", path="source.py"), event_time="time", label=Label(column="late")),
)


def test_the_command_is_what_a_person_would_type_in_the_projects_folder(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text("name: p\n")
    file = tmp_path / "examples" / "flights" / "usecase.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    assert project_folder(file) == tmp_path
    command = command_of(Retraining(file, USE_CASE, START), tmp_path)
    assert command[1:] == [
        "-m", "mlflow", "run", ".", "--env-manager", "local", "--experiment-name", "flights-delay",
        "-P", "usecase=examples/flights/usecase.yaml", "-P", "as_of=2013-05-02T00:00:00", "-P", "like=champion",
    ]  # fmt: skip


def test_the_rows_that_were_chosen_are_parameters_of_the_run(tmp_path: Path) -> None:
    rows = RowWindow(START - timedelta(days=90), timedelta(days=60), "the last 90 days, weighted")
    command = command_of(Retraining(tmp_path / "usecase.yaml", USE_CASE, START, rows), tmp_path)
    assert command[-4:] == ["-P", "window=7776000s", "-P", "half_life=5184000s"]


def test_a_use_case_outside_a_project_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--no-start-training"):
        project_folder(tmp_path / "usecase.yaml")
