"""Approved packages on this node's disk: fetched once, and never used unless their bytes are the approved ones."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.desired import Served
from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError

# Copies the model folder of a use case's version to a folder that does not exist yet, and returns that.
Download = Callable[[str, str, Path], Path]


class Packages:
    """The folder `packages` of a home: `<use case>/<version>-<first 12 digits of the digest>`."""

    def __init__(self, root: Path, download: Download) -> None:
        self._root = root
        self._download = download

    def place(self, served: Served) -> Path:
        """Return where a version's package stands once it was fetched."""
        digits = served.digest.removeprefix("sha256:")[:12]
        return self._root / served.usecase / f"{served.version}-{digits}"

    def fetch(self, served: Served) -> Path:
        """Return a verified package, from the disk or else from the registry.

        Raises:
            IntegrityError: The bytes are not those that were approved; the folder has been removed.
        """
        place = self.place(served)
        if place.exists():
            self._check(served, place)
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetching-") as temporary:
            folder = self._download(served.usecase, served.version, Path(temporary) / "model")
            self._check(served, folder)
            folder.rename(place)  # only a whole, verified package ever has its name
        return place

    def _check(self, served: Served, folder: Path) -> None:
        found = folder_digest(folder)
        if found == served.digest:
            return
        shutil.rmtree(folder)
        raise IntegrityError(
            f"Version {served.version} of '{served.usecase}' is not what was approved: its digest is {found[:19]}…, "
            f"approved was {served.digest[:19]}…. Find out who changed its artifacts, and have it reviewed again."
        )
