"""Approved packages on this node's disk: fetched once, and never used unless their bytes are the approved ones."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.desired import Served
from flywheel import signing
from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError

# Copies the model folder of a use case's version to a folder that does not exist yet, and returns that.
Download = Callable[[str, str, Path], Path]
# Returns the bundle that a version was signed with, None without one.
Signature = Callable[[str, str], str | None]


class Packages:
    """The folder `packages` of a home: `<use case>/<version>-<first 12 digits of the digest>`.

    Args:
        root: The folder.
        download: Fetches a version's folder.
        signature: Fetches its signature.
        public_key: Of those who may sign; None where signatures are not demanded.
    """

    def __init__(
        self,
        root: Path,
        download: Download,
        signature: Signature = lambda usecase, version: None,
        public_key: Path | None = None,
    ) -> None:
        self._root = root
        self._download = download
        self._signature = signature
        self._public_key = public_key

    def place(self, served: Served) -> Path:
        """Return where a version's package stands once it was fetched."""
        digits = served.digest.removeprefix("sha256:")[:12]
        return self._root / served.usecase / f"{served.version}-{digits}"

    def fetch(self, served: Served) -> Path:
        """Return a verified package, from the disk or else from the registry.

        Raises:
            IntegrityError: The bytes are not those that were approved, and the folder has been removed; or they are
                not signed by a key that counts here.
        """
        place = self.place(served)
        if place.exists():
            self._check(served, place)
            self._verify(served, place)
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetching-") as temporary:
            folder = self._download(served.usecase, served.version, Path(temporary) / "model")
            self._check(served, folder)
            self._verify(served, folder)
            folder.rename(place)  # only a whole, verified package ever has its name
        return place

    def _verify(self, served: Served, folder: Path) -> None:
        if self._public_key is None:
            return
        kept = signing.bundle_beside(self.place(served))  # so that restarts ask nobody
        bundle = kept.read_text() if kept.is_file() else self._signature(served.usecase, served.version)
        try:
            signing.verify(folder, bundle, self._public_key, f"Version {served.version} of '{served.usecase}'")
        except IntegrityError:
            kept.unlink(missing_ok=True)  # the registry may have a better one: a version is signed anew with a new key
            raise
        if not kept.is_file() and bundle is not None:
            kept.write_text(bundle)

    def _check(self, served: Served, folder: Path) -> None:
        found = folder_digest(folder)
        if found == served.digest:
            return
        shutil.rmtree(folder)
        raise IntegrityError(
            f"Version {served.version} of '{served.usecase}' is not what was approved: its digest is {found[:19]}…, "
            f"approved was {served.digest[:19]}…. Find out who changed its artifacts, and have it reviewed again."
        )
