"""Parquet: a file, a folder of files (also partitioned like `day=2024-01-01/`), a glob, or s3://."""

from collections.abc import Collection
from pathlib import Path

import polars as pl

from training.sources.cloud import in_cloud, storage_options
from training.sources.files import files_digest, find_files, undisturbed
from training.sources.origin import Origin, Table, collect_without
from training.sources.schemas import common_schema

ENDINGS = (".parquet", ".pq")


def read_parquet(path: str, folder: Path, leave: Collection[str]) -> Table:
    """Read all columns but those in `leave`.

    Raises:
        DataError: There is no such file, or files differ in their columns.
        TransientError: A file vanished or changed meanwhile.
        PolarsError, OSError: The content is no Parquet, or cannot be reached.
    """
    if in_cloud(path):
        scan = pl.scan_parquet(path, storage_options=storage_options())
        return collect_without(scan, leave, Origin("parquet", path))
    files = find_files(folder, path, ENDINGS)
    with undisturbed(files):
        origin = Origin("parquet", path, digest=files_digest(files, folder))
        return collect_without(_scan(files, folder / path), leave, origin)


def _scan(files: list[Path], root: Path) -> pl.LazyFrame:
    if len(files) == 1:
        return pl.scan_parquet(files[0], glob=False, hive_partitioning=_partitioned(files[0], root))
    schemas = [pl.Schema(pl.read_parquet_schema(file)) for file in files]
    common = common_schema(files, schemas)
    if all(list(schema.items()) == list(common.items()) for schema in schemas):
        return pl.scan_parquet(files, glob=False, hive_partitioning=_partitioned(files[0], root))
    scans = [pl.scan_parquet(file, glob=False, hive_partitioning=_partitioned(file, root)) for file in files]
    return pl.concat([scan.cast(dict(common)).select(*common, pl.exclude(*common)) for scan in scans])  # type: ignore[arg-type]  # a Schema's values are data types


def _partitioned(file: Path, root: Path) -> bool:
    return root.is_dir() and any("=" in part for part in file.relative_to(root).parts[:-1])
