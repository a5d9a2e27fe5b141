"""The small files of a version's package that the page reads, kept in this process: a registered version is frozen.

One listing and one request a file, side by side; the model itself is never fetched.
"""

import os
import posixpath
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # published without types
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from flywheel.errors import IntegrityError
from flywheel.package import INSIDE
from registry.doors.artifacts import ARTIFACTS_DESTINATION, stored_path

WANTED = (
    "contract.json",
    "data_profile.json",
    "encoding.json",
    "evaluation.json",
    "features.py",
    "lineage.json",
    "usecase.yaml",
)
LARGEST = 4 << 20  # bytes of one file; a larger one is as good as missing
KEPT = 64  # versions
FAULTS = (IntegrityError, MlflowException, BotoCoreError, ClientError, OSError)

Documents = Mapping[str, bytes]


class Shelf:
    """The documents of the versions that were looked at last; threads may share it."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._books: OrderedDict[str, Documents] = OrderedDict()
        self._lock = Lock()

    def read(self, location: str) -> Documents:
        """Return a version's documents by file name; those that are not there are left out.

        Nothing is kept while the store does not answer: the page is then without them, and the next one asks again.
        """
        with self._lock:
            if location in self._books:
                self._books.move_to_end(location)
                return self._books[location]
        try:
            found = _fetch(posixpath.join(stored_path(location), str(INSIDE)))
        except FAULTS:
            return {}
        with self._lock:
            self._books[location] = found
            while len(self._books) > self._kept:
                self._books.popitem(last=False)
        return found


def files_below(location: str, folder: str = "") -> tuple[str, ...]:
    """Return the names of the files directly in a folder of an artifact location; none while the store is down."""
    try:
        found = _repository().list_artifacts(posixpath.join(stored_path(location), folder))
    except FAULTS:
        return ()
    return tuple(sorted(posixpath.basename(item.path) for item in found if not item.is_dir))


def _fetch(folder: str) -> Documents:
    repository = _repository()
    listed = {posixpath.basename(item.path): item for item in repository.list_artifacts(folder) if not item.is_dir}
    names = [name for name in WANTED if name in listed and (listed[name].file_size or 0) <= LARGEST]
    if not names:
        return {}
    with tempfile.TemporaryDirectory(prefix="flywheel-review-") as scratch, ThreadPoolExecutor(len(names)) as pool:

        def fetch(name: str) -> bytes:
            local = Path(scratch) / name
            # Not download_artifacts: it lists first whether the file is a folder, once for each.
            repository._download_file(posixpath.join(folder, name), str(local))
            return local.read_bytes()

        return dict(zip(names, pool.map(fetch, names), strict=True))


def _repository() -> ArtifactRepository:
    return get_artifact_repository(os.environ[ARTIFACTS_DESTINATION])
