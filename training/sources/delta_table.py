"""Delta tables, local or on s3://, read at one version."""

from collections.abc import Collection
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from flywheel.errors import DataError, TransientError
from training.sources.cloud import in_cloud, storage_options
from training.sources.faults import first_line
from training.sources.origin import Origin, Table, collect_without


def read_delta(path: str, folder: Path, leave: Collection[str]) -> Table:
    """Read the newest version, all columns but those in `leave`.

    Raises:
        DataError: There is no Delta table.
        TransientError: A file of that version vanished meanwhile.
    """
    cloud = in_cloud(path)
    place, options = (path, storage_options()) if cloud else (str(folder / path), {})
    try:
        table = DeltaTable(place, storage_options=options)
    except TableNotFoundError as fault:
        raise DataError(f"Source {place} is no Delta table. Correct data.source.path in usecase.yaml.") from fault
    except (DeltaError, OSError) as fault:
        kind = TransientError if cloud else DataError
        raise kind(f"Delta table {place} cannot be opened: {first_line(fault)}. Check path and access.") from fault
    version = table.version()
    try:
        return collect_without(pl.scan_delta(table), leave, Origin("delta", path, version=version))
    except FileNotFoundError as fault:  # a vacuum removes files of versions that nobody is known to read
        raise TransientError(
            f"Delta table {place}: a file of version {version} vanished while it was read. Run again."
        ) from fault
