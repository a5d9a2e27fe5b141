"""A fitted model as files: stored by its MLflow flavour without pickle, read back, and told apart by its content.

scikit-learn's models are stored as skops, XGBoost's in their own binary JSON; other flavours as MLflow stores them.
"""

import hashlib
import importlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from mlflow.exceptions import MlflowException

from flywheel.errors import DataError
from flywheel.usecase import Task
from training.data.dataset import Matrix
from training.packaging.model_code import load_native, predict_matrix

# Roots of the types that scikit-learn's own models hold; what comes from other installed packages is looked up.
KNOWN = ("numpy", "scipy", "sklearn", "xgboost")
# HistGradientBoosting keeps one around a function of scikit-learn, whose name is checked like any other type's.
HARMLESS = ("functools.partial",)
ABOUT = ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt")  # times, uuids and versions, not the model
PROBE_ROWS = 1000


def store_model(model: Any, folder: Path, flavor: str) -> None:
    """Write a fitted model as an MLflow model folder, which must not exist.

    Raises:
        DataError: The flavour is unknown, or the model cannot be stored by it without pickle.
    """
    try:
        module = importlib.import_module(f"mlflow.{flavor}")
        save = module.save_model
    except (ImportError, AttributeError) as fault:
        raise DataError(f"MLflow cannot store models of flavour '{flavor}': {fault}. Correct the family.") from fault
    options: dict[str, Any] = {"pip_requirements": module.get_default_pip_requirements()}
    if flavor == "sklearn":
        options |= {"serialization_format": "skops", "skops_trusted_types": trusted_types(model)}
    with no_advice():
        try:
            save(model, str(folder), **options)
        except MlflowException as fault:
            raise DataError(f"The model cannot be stored as flavour '{flavor}': {fault.message}") from fault


def check_stored(folder: Path, flavor: str, task: Task, model: Any, matrix: Matrix) -> None:
    """Read a stored model again and ask it: what cannot be loaded is found at writing, not in production.

    Args:
        folder: Where it is stored.
        flavor: Its flavour.
        task: What it predicts.
        model: The fitted model that was stored.
        matrix: Rows to ask both with, (n_rows, n_features); the first thousand are enough.

    Raises:
        DataError: It cannot be read, or answers otherwise than the fitted model.
    """
    rows = matrix[:PROBE_ROWS]
    try:
        found = predict_matrix(load_native(folder, flavor, task), rows, task)
    except Exception as fault:  # any library may be behind a flavour, with errors of its own
        raise DataError(
            f"The stored model (flavour '{flavor}') cannot be asked: {type(fault).__name__}: {fault}. Correct it."
        ) from fault
    expected = predict_matrix(model, rows, task)
    if found.shape != expected.shape or not np.array_equal(found, expected, equal_nan=True):
        raise DataError(
            f"The stored model (flavour '{flavor}') answers otherwise than the fitted one. Correct the family."
        )


def trusted_types(model: Any) -> list[str]:
    """Return the types in a scikit-learn model that skops must be told to trust, each from an installed package.

    Raises:
        DataError: The model holds a type that no package brings: another process could not load it.
    """
    untrusted = sorted(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
    foreign = [name for name in untrusted if name not in HARMLESS and name.split(".")[0] not in KNOWN]
    if foreign:
        installed = packages_distributions()
        missing = [name for name in foreign if name.split(".")[0] not in installed]
        if missing:
            raise DataError(
                f"The model holds '{missing[0]}', which no installed package brings, so nobody could load it. Make the"
                " family return a model of a library, or one that another MLflow flavour stores."
            )
    return untrusted


def model_digest(folder: Path) -> str:
    """Return `sha256:…` over what a stored model predicts with: its files without dates, uuids and memory addresses."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ABOUT):
        content = _skops_content(path) if path.suffix == ".skops" else path.read_bytes()
        total.update(f"{path.relative_to(folder).as_posix()}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _skops_content(path: Path) -> bytes:
    """Return a digest of the object in a skops file, whatever its parts' addresses, and whichever parts it shares."""
    with zipfile.ZipFile(path) as archive:
        return _node_digest(json.loads(archive.read("schema.json")), {}, archive.read)


def _node_digest(node: Any, seen: dict[object, bytes], read: Callable[[str], bytes]) -> bytes:
    """Return the digest of one part; a part that skops met before is written as a reference, and counts as itself."""
    if isinstance(node, list):
        return _joined(_node_digest(part, seen, read) for part in node)
    if not isinstance(node, Mapping):
        return hashlib.sha256(json.dumps(node).encode()).digest()
    if node.get("__loader__") == "CachedNode":
        return seen.get(node["__id__"], b"itself")  # what holds itself is not yet known when it is met again
    parts = []
    for key, value in sorted(node.items()):
        if key != "__id__":
            own = hashlib.sha256(read(value)).digest() if key == "file" else _node_digest(value, seen, read)
            parts.append(key.encode() + own)
    digest = _joined(parts)
    if "__id__" in node:
        seen[node["__id__"]] = digest
    return digest


def _joined(parts: Iterable[bytes]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


@contextmanager
def no_advice() -> Iterator[None]:
    """Keep MLflow from advising on requirements and types that are given on purpose."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
