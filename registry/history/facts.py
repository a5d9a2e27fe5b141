"""Reads the facts of a version that a difference compares: registry, run, package and evidence, all bounded."""

import json
import os
import posixpath
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # published without types
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from flywheel import events
from flywheel.errors import IntegrityError, UsageError
from flywheel.events import EventKind
from flywheel.package import INSIDE
from registry.doors.artifacts import ARTIFACTS_DESTINATION, stored_path
from registry.gates.evidence import read_evidence
from registry.history.difference import LOCK, Facts
from registry.store.decisions import AUTHOR_TAG, DIGEST_TAG
from registry.store.gate import GateStore

TEXTS = ("usecase.yaml", "features.py", LOCK)
DOCUMENTS = ("lineage.json", "contract.json", "encoding.json")
LARGEST = 2 << 20  # bytes of one file; a larger one counts as missing
FAULTS = (IntegrityError, MlflowException, BotoCoreError, ClientError, OSError)
NAMED = re.compile(r"(?:models:/)?(?P<model>[^/@:]+)(?:/(?P<version>\d{1,9})|@(?P<alias>[^/@:]+))")


def find_version(store: GateStore, named: str) -> ModelVersion:
    """Return the version that NAME/VERSION, NAME@alias or either behind models:/ names.

    Raises:
        UsageError: It names none in these forms.
        MlflowException: There is no such version.
    """
    found = NAMED.fullmatch(named.strip())
    if found is None:
        raise UsageError(f"'{named}' names no version. Write NAME/VERSION, NAME@alias or models:/NAME/VERSION.")
    if found["alias"]:
        return store.get_model_version_by_alias(found["model"], found["alias"])
    return store.get_model_version(found["model"], found["version"])


def read_facts(store: GateStore, version: ModelVersion) -> Facts:
    """Return what is known of a version; what cannot be read now is left out."""
    name, number = version.name, str(version.version)
    files = _files(str(store.get_model_version_download_uri(name, number)))
    run = _run(version)
    lineage, contract = _document(files, "lineage.json"), _document(files, "contract.json")
    fitted = {f"fit.{key}": str(value) for key, value in _mapping(lineage.get("params")).items()}
    with store.engine.connect() as connection:
        measured = events.read(connection, EventKind.GATE_MEASURED, f"{name}/{number}")
    evidence = read_evidence(measured, f"{name}/{number}")
    return Facts(
        model=name,
        version=number,
        stage=version.current_stage,
        aliases=tuple(version.aliases),
        digest=version.tags.get(DIGEST_TAG, ""),
        author=version.tags.get(AUTHOR_TAG, ""),
        metrics=run.data.metrics if run else {},
        params={**(run.data.params if run else {}), **fitted},
        data=_data(lineage),
        inputs={str(one.get("name")): str(one.get("type")) for one in _rows(contract.get("columns"))},
        features={str(one.get("name")): _kind(one) for one in _rows(_document(files, "encoding.json").get("columns"))},
        texts={name: files[name] for name in TEXTS if name in files},
        evidence={gate: f"{one.measurement.outcome}: {one.measurement.sentence}" for gate, one in evidence.items()},
    )


def _files(location: str) -> dict[str, str]:
    """Read the package's small files by name; none of a model that is not ours, or while the store is down."""
    found: dict[str, str] = {}
    try:
        place = posixpath.join(stored_path(location), str(INSIDE))
        repository = get_artifact_repository(os.environ[ARTIFACTS_DESTINATION])
        sizes = {posixpath.basename(one.path): one.file_size or 0 for one in repository.list_artifacts(place)}
        with tempfile.TemporaryDirectory(prefix="flywheel-diff-") as scratch:
            for name in (*TEXTS, *DOCUMENTS):
                if sizes.get(name, LARGEST + 1) <= LARGEST:
                    path = repository.download_artifacts(posixpath.join(place, name), scratch)
                    found[name] = Path(path).read_text(errors="replace")
    except FAULTS:
        return found
    return found


def _run(version: ModelVersion) -> Run | None:
    if not version.run_id:
        return None
    try:
        return handlers._get_tracking_store().get_run(version.run_id)
    except MlflowException:  # it was deleted: the version stays, without figures
        return None


def _data(lineage: Mapping[str, Any]) -> dict[str, str]:
    names = ("data_digest", "data_rows", "source_digest", "features_digest", "git_commit", "seed", "python")
    said = {name: str(lineage[name]) for name in names if lineage.get(name) is not None}
    for part, value in _mapping(lineage.get("parts")).items():
        span = _mapping(value)
        said[part] = f"{span.get('rows')} rows, {span.get('start')} to {span.get('end')}"
    return said


def _kind(feature: Mapping[str, Any]) -> str:
    categories = feature.get("categories")
    return "number" if categories is None else f"category of {len(categories)}"


def _document(files: Mapping[str, str], name: str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(files.get(name, "{}")))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
