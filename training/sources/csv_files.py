"""CSV: a file (also gzipped), a folder of files, a glob, or s3://; separated by comma, semicolon, tab or bar."""

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from training.sources.cloud import in_cloud, storage_options
from training.sources.files import files_digest, find_files, undisturbed
from training.sources.origin import Origin, Table
from training.sources.schemas import common_schema

ENDINGS = (".csv", ".csv.gz", ".tsv")
MISSING = ["", "NA", "NaN", "nan", "NULL", "null"]
SEPARATORS = ",;\t|"
GZIP = b"\x1f\x8b"
START_BYTES = 65536  # in which the header line lies


def read_csv(path: str, folder: Path) -> Table:
    """Read all columns. Types are inferred from all rows, because a column's first text may come late.

    Raises:
        DataError: There is no such file, it is empty, or files differ in their columns.
        TransientError: A file vanished or changed meanwhile.
        PolarsError, OSError: The content is no CSV, or cannot be reached.
    """
    if in_cloud(path):
        options = storage_options()
        scan = pl.scan_csv(path, storage_options=options, null_values=MISSING, infer_schema_length=None)
        return Table(scan.collect(), Origin("csv", path))
    files = find_files(folder, path, ENDINGS)
    with undisturbed(files):
        frames = [_read(file) for file in files]
        return Table(_under_each_other(files, frames), Origin("csv", path, digest=files_digest(files, folder)))


def _read(file: Path) -> pl.DataFrame:
    # Polars maps a CSV file into memory: one that is truncated meanwhile would kill the process with SIGBUS. Bytes of
    # our own cost neither time nor peak memory (measured: 7.0 s against 8.5 s, both 1.1 GB, for a file of 0.4 GB).
    content = file.read_bytes()
    try:
        start = _start(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise DataError(f"Source {file} is a damaged gzip file: {fault}. Fetch it again.") from fault
    if not start.strip():
        raise DataError(f"Source {file} is empty. Give it a header line and rows.")
    separator = _separator(start)
    return pl.read_csv(io.BytesIO(content), separator=separator, null_values=MISSING, infer_schema_length=None)


def _separator(start: bytes) -> str:
    header = start.decode("utf-8", "replace").splitlines()[0]
    return max(SEPARATORS, key=lambda mark: (mark == "," and mark in header, header.count(mark)))


def _start(content: bytes) -> bytes:
    if not content.startswith(GZIP):
        return content[:START_BYTES]
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        return file.read(START_BYTES)


def _under_each_other(files: Sequence[Path], frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if len(frames) == 1:
        return frames[0]
    # A CSV column without any value is inferred as text: it has no type of its own.
    schemas = [
        pl.Schema({c.name: pl.Null() if c.null_count() == len(c) else c.dtype for c in frame}) for frame in frames
    ]
    common = common_schema(files, schemas)
    return pl.concat([frame.select(pl.col(name).cast(kind) for name, kind in common.items()) for frame in frames])
