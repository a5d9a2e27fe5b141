"""Files of outcomes: tables of three kinds, read, checked, and taken into the prediction log once."""

from pathlib import Path

import polars as pl

from flywheel.errors import UsageError
from flywheel.outcomes import check_outcomes
from flywheel.storage import PredictionLog, append_outcomes


def record_file(log_root: Path, use_case: str, file: Path) -> tuple[int, bool]:
    """Append a file's outcomes to the prediction log, unless they are there already.

    Where the use case answers with classes, the column `outcome` holds their names, else numbers.

    Returns:
        The number of rows in the file, and whether they are new.

    Raises:
        UsageError: The use case has no predictions, or the file is no table of outcomes.
    """
    log = PredictionLog(log_root)
    known = log.use_cases()
    if use_case not in known:
        raise UsageError(f"Use case '{use_case}' has no predictions here. Known: {', '.join(known) or 'none'}.")
    classes = log.tells_classes(use_case)
    frame = check_outcomes(read_frame(file, classes=classes), str(file), classes=classes)
    return frame.height, append_outcomes(log_root, use_case, frame)


def read_frame(path: Path, *, classes: bool = False) -> pl.DataFrame:
    """Read a table of any of the three kinds; with `classes` a CSV's `outcome` stays text, 01 as 01.

    Raises:
        UsageError: The file cannot be read, or is of another kind.
    """
    try:
        match path.suffix:
            case ".jsonl" | ".ndjson":
                return pl.read_ndjson(path, infer_schema_length=None)
            case ".csv":
                text = ("entity", "outcome") if classes else ("entity",)
                return pl.read_csv(path, infer_schema_length=None, schema_overrides=dict.fromkeys(text, pl.String()))
            case ".parquet":
                return pl.read_parquet(path)
    except OSError as fault:
        raise UsageError(f"File {path} cannot be read: {fault.strerror or fault}. Give the path of a file.") from fault
    except pl.exceptions.PolarsError as fault:
        first = str(fault).splitlines()[0]
        raise UsageError(f"File {path} is no {path.suffix[1:]}: {first}. Correct it.") from fault
    raise UsageError(f"File {path} has an unknown kind. Give a .jsonl, .csv or .parquet file.")
