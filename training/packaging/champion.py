"""The versions that a new one follows: the champion, which takes the traffic, and the newest, whose number it follows.

Each is downloaded once. Comparison, warm start, data checks and the semantic version all read them from here.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from flywheel.errors import DataError, IntegrityError, StackError
from flywheel.package import ModelPackage, read_package
from flywheel.signing import trusted_key, verify
from flywheel.statistics import Floats
from flywheel.tracking import Tracking
from flywheel.usecase import Task

ALIAS = "champion"
LOOK_BACK = 20  # versions; older ones without a package are not asked for one
ABSENT = {ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)}  # MLflow says either


@dataclass(frozen=True)
class Unable:
    """Why a version cannot predict for rows: one sentence."""

    reason: str


@dataclass(frozen=True)
class Predecessor:
    """A registered version with its package; `version` is the registry's number."""

    version: str
    package: ModelPackage

    @cached_property
    def _model(self) -> Any:
        return mlflow.pyfunc.load_model(str(self.package.folder))

    def predict(self, inputs: pl.DataFrame, task: Task, classes: tuple[str, ...] = ()) -> Floats | Unable:
        """Predict for raw inputs, n_rows by at least the contract's columns, with the code that the version carries.

        Args:
            inputs: As the new version's contract types them.
            task: What is predicted now.
            classes: Names of the classes now, by code.

        Returns:
            (n_rows,), or (n_rows, n_classes) in the order of `classes`; or why that cannot be.
        """
        who = f"Version {self.version}"
        if self.package.usecase.task != task:
            return Unable(f"{who} is of task {self.package.usecase.task}, not {task}.")
        columns = self.package.contract.columns
        gone = [column.name for column in columns if column.name not in inputs.columns and not column.nullable]
        if gone:
            return Unable(f"{who} asks for input '{gone[0]}', which the data no longer has.")
        frame = inputs.select(column.name for column in columns if column.name in inputs.columns).to_pandas()
        try:
            answers = self._model.predict(frame)
        except Exception as fault:  # noqa: BLE001  # the version's own code; training goes on without its answers
            return Unable(f"{who} cannot be asked here: {type(fault).__name__}: {_first_line(fault)}.")
        return _read(answers, task, classes, who)


@dataclass(frozen=True)
class Predecessors:
    """Champion and newest version with a package; None where there is none."""

    champion: Predecessor | None
    newest: Predecessor | None


def find_predecessors(name: str, folder: Path, client: MlflowClient | None = None) -> Predecessors:
    """Look a model up in the registry and download what is needed of it.

    Args:
        name: Of the registered model, which may not exist yet.
        folder: Gets one folder a version.
        client: Of the registry; by default the one that the environment names.

    Raises:
        MlflowException: The registry does not answer, or refuses.
        IntegrityError: A package is not what the registry signed.
    """
    client = client or MlflowClient()
    versions = _versions(client, name)
    if not versions:  # behind a login, asking for an alias of a model that does not exist is not permitted
        return Predecessors(None, None)
    champion = _by_alias(client, name, folder)
    newest = None
    for version in versions[:LOOK_BACK]:
        if champion is not None and version.version == champion.version:
            newest = champion
        else:
            newest = _download(client, version, folder)
        if newest is not None:
            break
    return Predecessors(champion, newest)


def fetch_version(name: str, version: str, folder: Path, client: MlflowClient | None = None) -> Predecessor:
    """Download one registered version.

    Raises:
        DataError: There is no such version, or it has no package of ours.
        IntegrityError: It is not what the registry signed.
    """
    client = client or MlflowClient()
    try:
        found = client.get_model_version(name, version)
    except MlflowException as fault:
        raise DataError(f"Model '{name}' has no version {version}: {_first_line(fault)}. Name another.") from fault
    fetched = _download(client, found, folder)
    if fetched is None:
        raise DataError(f"Version {version} of '{name}' holds no package that `mlflow run` made. Name another.")
    return fetched


def _by_alias(client: MlflowClient, name: str, folder: Path) -> Predecessor | None:
    try:
        version = client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as fault:
        if fault.error_code not in ABSENT:
            raise
        return None
    return _download(client, version, folder)


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    found = client.search_model_versions(f"name = '{name}'", max_results=1000)
    return sorted(found, key=lambda version: -int(version.version))


def _download(client: MlflowClient, version: ModelVersion, folder: Path) -> Predecessor | None:
    """Download a version's folder; None when it has no package of ours, or its files are gone."""
    place = folder / str(version.version)
    if not place.exists():
        place.mkdir(parents=True)
        uri = f"models:/{version.name}/{version.version}"
        try:
            mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(place), tracking_uri=client.tracking_uri)
        except (MlflowException, OSError) as fault:
            if not _is_gone(fault):
                raise StackError(
                    f"Version {version.version} of {version.name} cannot be fetched: {_first_line(fault)}. Try again."
                ) from fault
            return None
    try:
        package = read_package(place)
    except IntegrityError:
        return None
    verify_predecessor(version, place)  # its code is about to run here
    return Predecessor(str(version.version), package)


def verify_predecessor(version: ModelVersion, place: Path) -> None:
    """Check a package's signature where FLYWHEEL_VERIFY_KEY demands one; a registry that signs nothing sets none.

    Raises:
        IntegrityError: It has none, or `place` is not what was signed.
    """
    key = trusted_key(None)
    if key is not None:
        bundle = Tracking.from_login(os.environ).signature(version.name, str(version.version))
        verify(place, bundle, key, f"Version {version.version} of '{version.name}'")


def _is_gone(fault: MlflowException | OSError) -> bool:
    """Say whether the files are not there, as against a store that does not answer now."""
    if isinstance(fault, MlflowException):
        return fault.error_code in ABSENT or "No such artifact" in fault.message
    response = getattr(fault, "response", None)  # of the HTTP client's errors, which are OSErrors too
    return isinstance(fault, FileNotFoundError) or getattr(response, "status_code", None) == 404


def _read(answers: pd.DataFrame, task: Task, classes: tuple[str, ...], who: str) -> Floats | Unable:
    names = [f"probability_{name}" for name in classes] if task == "multiclass" else []
    names = names or ["probability" if task == "binary" else "prediction"]
    known = [name for name in answers.columns if task != "multiclass" or str(name).startswith("probability_")]
    if missing := [name for name in names if name not in answers.columns]:
        return Unable(f"{who} does not answer '{missing[0]}'.")
    if task == "multiclass" and (more := sorted({*known} - {*names})):
        return Unable(f"{who} knows the class of '{more[0]}', which the data no longer has.")
    values = answers[names].to_numpy(dtype=np.float64)
    return values if task == "multiclass" else values[:, 0]


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or "no message").splitlines()[0].rstrip(".")[:200]
