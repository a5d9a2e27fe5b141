import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel.connections import secrets
from flywheel.settings import Settings
from registry.gates.server import ModelServer
from tests.registry.conftest import Server
from tests.registry.gates.folders import Bench, build, build_plain
from tests.registry.gates.service import service_environment


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of the tiny rows that keeps every limit; tests copy it before they spoil it."""
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("classes"), "multiclass")


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("numbers"), "regression")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow model that `mlflow run` has not made."""
    return build_plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def bench(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Measures folders; questions go to the server of the intact package."""
    work = tmp_path_factory.mktemp("work")
    server = ModelServer(package, work, sys.executable)
    yield Bench(server, work)
    server.close()


@pytest.fixture(scope="session")
def broken_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Measures folders; questions go to a server that cannot start."""
    work, folder = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("broken")
    (folder / "MLmodel").write_text("flavors: {}\n")
    server = ModelServer(folder, work, sys.executable)
    yield Bench(server, work)
    server.close()


@pytest.fixture
def engine(stack: Settings, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The service's connection, and its environment."""
    for name, value in service_environment(stack).items():
        monkeypatch.setenv(name, value)
    made = sa.create_engine(secrets(stack).databases["server"])
    yield made
    made.dispose()
