"""Lenses from the packages that deploy keeps below the home folder, each read once."""

from pathlib import Path

import structlog

from flywheel.errors import IntegrityError
from monitoring.packages import find_package
from monitoring.windows.lens import Lens, lens_of

logger = structlog.get_logger()


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
        try:
            package = find_package(self._home, self._use_case, version)
            return None if package is None else lens_of(package)
        except IntegrityError as fault:
            logger.warning("a version's rows are not profiled", use_case=self._use_case, reason=str(fault))
            return None
