"""Lenses from the packages that deploy keeps below the home folder, each read once."""

from pathlib import Path

import structlog

from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError
from flywheel.package import read_package
from flywheel.signing import trusted_key, verify_stored
from monitoring.windows.lens import Lens, lens_of

logger = structlog.get_logger()

SHOWN = 12  # digits of its digest that a package's folder has after its version


class PackageLenses:
    """Finds the lens of a version of one use case; None where its package is not here, or is not what it says."""

    def __init__(self, home: Path, use_case: str) -> None:
        self._home, self._use_case = home, use_case
        self._known: dict[str, Lens | None] = {}

    def __call__(self, version: str) -> Lens | None:
        """Return how a version's rows are profiled."""
        if version not in self._known:
            self._known[version] = self._read(version)
        return self._known[version]

    def _read(self, version: str) -> Lens | None:
        for folder in sorted((self._home / "packages" / self._use_case).glob(f"{version}-*")):
            try:
                if (lens := self._lens(version, folder)) is not None:
                    return lens
            except IntegrityError as fault:
                logger.warning("a version's rows are not profiled", use_case=self._use_case, reason=str(fault))
        return None

    def _lens(self, version: str, folder: Path) -> Lens | None:
        """Read a folder, None for one that is on its way.

        Raises:
            IntegrityError: It is damaged, no package, or not signed by a key that counts here.
        """
        if not folder.is_dir() or not folder_digest(folder).startswith(f"sha256:{folder.name[-SHOWN:]}"):
            return None
        key = trusted_key(self._home)
        if key is not None:
            verify_stored(folder, key, f"Version {version} of '{self._use_case}'")
        return lens_of(read_package(folder))
