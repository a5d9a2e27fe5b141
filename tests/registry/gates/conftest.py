import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.gates.server import ModelServer
from tests.registry.gates.folders import Bench, build, build_plain


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
