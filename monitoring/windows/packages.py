"""Lenses from the packages that deploy keeps below the home folder, each read once."""

import structlog

from flywheel.errors import IntegrityError
from monitoring.packages import Packages
from monitoring.windows.lens import Lens, lens_of

logger = structlog.get_logger()


class PackageLenses:
    """Finds the lens of a version of one use case; None where its package is not here, or is not what it says."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self._known: dict[str, Lens | None] = {}

    def __call__(self, version: str) -> Lens | None:
        """Return how a version's rows are profiled."""
        if version not in self._known:
            self._known[version] = self._read(version)
        return self._known[version]

    def _read(self, version: str) -> Lens | None:
        try:
            package = self._packages.find(version)
            return None if package is None else lens_of(package)
        except IntegrityError as fault:
            logger.warning("a version's rows are not profiled", version=version, reason=str(fault))
            return None
