"""The bytes behind a version: where they lie, and their digest as a client would download them."""

import os
import posixpath
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # published without types
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError, UsageError
from flywheel.signing import add_meta

# As `mlflow server --artifacts-destination` hands it to its workers. The constant is in mlflow.server, which may not be
# imported here: it loads registry stores by entry point, and ours leads to this module.
ARTIFACTS_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
# The setting that people give `mlflow server`, and a process beside it.
SETTING = "MLFLOW_ARTIFACTS_DESTINATION"


def find_artifacts(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let a process beside the server look where that keeps artifacts, by the setting that `mlflow server` reads.

    Raises:
        UsageError: Nothing says where.
    """
    named = environment.get(ARTIFACTS_DESTINATION) or environment.get(SETTING)
    if not named:
        raise UsageError(f"Versions cannot be read: set {SETTING} to the artifact store that `mlflow server` has.")
    environment[ARTIFACTS_DESTINATION] = named


def artifact_store() -> str:
    """Return the address of the server's artifact store."""
    return os.environ[ARTIFACTS_DESTINATION]


def stored_path(location: str) -> str:
    """Return the path of a version's folder below the server's artifact store.

    Raises:
        IntegrityError: The folder lies elsewhere, where the server could neither freeze nor check it.
    """
    parts = urlsplit(location)
    path = canonical_path(parts.path)
    if parts.scheme != "mlflow-artifacts" or parts.netloc or not path:
        raise IntegrityError(
            f"its source '{location}' is not in this server's artifact store. "
            "Log the model to this server and register what was logged (mlflow.register_model)."
        )
    return path


def canonical_path(path: str) -> str:
    """Return an artifact path in the one spelling that comparisons use: unquoted, no dots, no outer slashes."""
    while (plain := unquote(path)) != path:
        path = plain
    return posixpath.normpath("/" + path.replace("\\", "/")).strip("/")


@contextmanager
def downloaded(location: str) -> Iterator[Path]:
    """Yield a version's folder as the artifact store has it; it is gone afterwards.

    Raises:
        IntegrityError: The folder lies outside the artifact store, cannot be read, or holds no MLflow model.
    """
    path = stored_path(location)
    with tempfile.TemporaryDirectory(prefix="flywheel-version-") as scratch:
        try:
            repository = get_artifact_repository(artifact_store())
            folder = Path(repository.download_artifacts(path, scratch))
        except (MlflowException, BotoCoreError, ClientError, OSError) as fault:
            reason = str(fault).strip().splitlines()[0].rstrip(".")
            raise IntegrityError(f"its source '{location}' cannot be read: {reason}. Log the model again.") from fault
        if not (folder / "MLmodel").is_file():
            raise IntegrityError(f"its source '{location}' holds no MLmodel file. Log the model again.")
        yield folder


def digest_of(folder: Path, name: str, version: str) -> str:
    """Return the digest of a version's folder, as a client gets it by `download_artifacts("models:/name/version")`.

    That is the stored files, and the file with name and version that MLflow's client adds; it is written here too.
    """
    add_meta(folder, name, version)
    return folder_digest(folder)


def version_digest(name: str, version: str, location: str) -> str:
    """Download a version's folder from the artifact store and return its digest.

    Raises:
        IntegrityError: The folder lies outside the artifact store, or holds no MLflow model.
    """
    with downloaded(location) as folder:
        return digest_of(folder, name, version)
