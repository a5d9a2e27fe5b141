"""Making files outlive loss of power: writing does not, before their content and their folder are synced."""

import os
from collections.abc import Iterable
from pathlib import Path


def sync(path: Path) -> None:
    """Return when a file's content, or a folder's names, are on the medium.

    Raises:
        OSError: It is not there, or the medium has a fault.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_new(paths: Iterable[Path], synced: set[Path]) -> set[Path]:
    """Sync files that never change, except those that were synced before, and the folders that hold new ones.

    Args:
        paths: All there are now.
        synced: What an earlier call returned.

    Returns:
        The paths, all of them on the medium now.

    Raises:
        OSError: The medium has a fault.
    """
    there = set(paths)
    new = sorted(there - synced)
    for path in [*new, *sorted({path.parent for path in new})]:
        sync(path)
    return there
