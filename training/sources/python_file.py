"""A source in Python: a file with `load(as_of)` that returns a Polars frame."""

from datetime import datetime
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from flywheel.modules import load_module
from training.sources.faults import first_line
from training.sources.files import files_digest
from training.sources.origin import Origin, Table


def call_python(path: str, folder: Path, as_of: datetime) -> Table:
    """Call `load(as_of)` of the file.

    Raises:
        DataError: There is no such file or function, it raises, or it returns something else.
    """
    place = folder / path
    if not place.exists():
        raise DataError(f"Source {place} does not exist. Correct data.source.path in usecase.yaml.")
    load = getattr(load_module(place, "source"), "load", None)
    if not callable(load):
        raise DataError(f"Source {place} has no function load(as_of). Add one that returns a Polars frame.")
    try:
        rows = load(as_of)
    except Exception as fault:  # the user's own code: whatever it raises is a fault of the source
        raise DataError(
            f"Source {place}: load(as_of) raised {type(fault).__name__}: {first_line(fault)}. Correct it."
        ) from fault
    if not isinstance(rows, pl.DataFrame):
        raise DataError(f"Source {place}: load(as_of) returned {type(rows).__name__}. Return a Polars DataFrame.")
    return Table(rows, Origin("python", path, digest=files_digest([place], folder)))
