"""Making files outlive loss of power: writing does not, before their content and their folder are synced."""

import os
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable


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


def sync_table(table: DeltaTable, folder: Path, synced: set[Path]) -> set[Path]:
    """Sync the files of a table as it is now, except those that were synced before, and the folders down to them.

    Delta syncs nothing itself. Its files never change once they are there, except the hint at the last checkpoint,
    which readers can do without.

    Args:
        table: As it is now.
        folder: Where its files lie.
        synced: What an earlier call returned.

    Returns:
        All files of the table that are on the medium.

    Raises:
        OSError: The medium has a fault.
    """
    commits = folder / "_delta_log"
    data = {folder / unquote(name) for name in pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()}
    there = data | {path for path in commits.iterdir() if path.is_file()}
    for path in sorted(there - synced):
        sync(path)
    for place in (folder, commits, folder.parent, folder.parent.parent):
        sync(place)
    return there
