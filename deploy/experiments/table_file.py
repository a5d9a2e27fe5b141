"""A table of units in a file of one of three kinds."""

from pathlib import Path

import polars as pl

from flywheel.errors import UsageError


def read_table(path: Path) -> pl.DataFrame:
    """Read a .csv, .parquet or .jsonl file; in a CSV, units and arms stay text, 007 as 007.

    Raises:
        UsageError: The file cannot be read, or is of another kind.
    """
    try:
        match path.suffix:
            case ".csv":
                text = dict.fromkeys(("unit", "arm"), pl.String())
                return pl.read_csv(path, infer_schema_length=None, schema_overrides=text)
            case ".parquet":
                return pl.read_parquet(path)
            case ".jsonl" | ".ndjson":
                return pl.read_ndjson(path, infer_schema_length=None)
    except OSError as fault:
        raise UsageError(f"{path} cannot be read: {fault.strerror or fault}. Give the path of a file.") from fault
    except pl.exceptions.PolarsError as fault:
        first = str(fault).splitlines()[0]
        raise UsageError(f"{path} is no {path.suffix[1:]}: {first}. Correct it.") from fault
    raise UsageError(f"{path} has an unknown kind. Give a .csv, .parquet or .jsonl file.")
