"""`flywheel logs`: each version and replica has a log of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.desired import Served
from deploy.local.locks import builder_log, environment_digest
from deploy.local.places import program_name
from deploy.logs import version_logs
from flywheel.errors import UsageError
from tests.deploy.conftest import ENVIRONMENT, ROOT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    for usecase, version in (("flights", "2"), ("flights", "10"), ("flights-v2", "1")):
        for kind, number in (("scorer", 1), ("agent", 1), ("agent", 2)):
            name = program_name(kind, Served(usecase, version, "d"), number)
            (tmp_path / "logs" / f"{name}.log").write_text("".join(f"{name} {line}\n" for line in range(30)))
    (tmp_path / "logs" / "gateway.log").write_text("not a version's\n")
    return tmp_path


def test_logs_are_told_apart_by_version_and_replica(home: Path) -> None:
    def names(usecase: str, version: str | None = None) -> list[str]:
        return [path.stem for path in version_logs(home, usecase, version)]

    assert names("flights", "2") == ["agent-flights-v2", "agent-flights-v2-2", "scorer-flights-v2"]
    assert names("flights")[3:] == ["agent-flights-v10", "agent-flights-v10-2", "scorer-flights-v10"]
    assert names("flights-v2") == ["agent-flights-v2-v1", "agent-flights-v2-v1-2", "scorer-flights-v2-v1"]
    with pytest.raises(UsageError, match="Version 3 of 'flights' has written no log"):
        names("flights", "3")


def test_the_log_of_the_builder_of_its_environment_is_a_versions_own(home: Path) -> None:
    package = home / "packages" / "flights" / "3-0123456789ab"
    package.mkdir(parents=True)
    (package / "requirements.txt").write_text("mlflow==3.17.2\n")
    builder = builder_log(home, environment_digest(package, "uv"))
    builder.write_text("error: the index does not answer\n")
    (home / "logs" / "environment-of-others.log").write_text("another lock's\n")
    assert version_logs(home, "flights", "3") == [builder]
    assert builder in version_logs(home, "flights", None)
    assert builder not in version_logs(home, "flights", "2")


def test_the_command_shows_the_last_lines_of_each(home: Path) -> None:
    command = [sys.executable, "-c", "from flywheel.cli import main; main()", "logs", "flights", "2", "--lines", "2"]
    environment = ENVIRONMENT | {"FLYWHEEL_HOME": str(home)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    heads = [line for line in done.stdout.splitlines() if line.startswith("==>")]
    assert len(heads) == 3
    assert done.stdout.splitlines()[1:3] == ["agent-flights-v2 28", "agent-flights-v2 29"]
