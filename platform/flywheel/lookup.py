"""Finding one record in a table of millions: by the statistics of files, then of row groups, then in one column.

Prediction ids are UUIDv7, so they rise with time as the log does, and few files can hold one. Through a dataset over
all files a lookup among ten million took four times as long.
"""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from deltalake import DeltaTable

logger = structlog.get_logger()
KEY = "prediction_id"


def find_record(table: DeltaTable, folder: Path, prediction_id: str) -> dict[str, Any] | None:
    """Return the record of a prediction, None where no file that can be read has it; the others are told.

    Args:
        table: Of predictions, as it is now.
        folder: Where its files lie.
        prediction_id: A UUIDv7, or anything else that somebody took for one.
    """
    files = pa.table(table.get_add_actions(flatten=True)).select(["path", f"min.{KEY}", f"max.{KEY}"])
    for name in files.filter(_may_hold(prediction_id))["path"].to_pylist():
        try:
            found = _in_file(folder / unquote(name), prediction_id)
        except (OSError, pa.ArrowException) as fault:  # the record may be in another one
            logger.warning("a file of the prediction log cannot be read", file=name, reason=str(fault))
            continue
        if found is not None:
            return found
    return None


def _may_hold(value: str) -> pc.Expression:
    """Return the condition under which a file may hold a value; one without statistics may."""
    low, high = pc.field(f"min.{KEY}"), pc.field(f"max.{KEY}")
    return low.is_null() | high.is_null() | ((low <= value) & (high >= value))


def _in_file(path: Path, value: str) -> dict[str, Any] | None:
    with pq.ParquetFile(path, memory_map=True) as file:
        leaf = _leaf(file)
        for number in range(file.num_row_groups):
            known = file.metadata.row_group(number).column(leaf).statistics
            if known is not None and known.has_min_max and not known.min <= value <= known.max:
                continue
            place = pc.index(file.read_row_group(number, columns=[KEY])[KEY], value).as_py()
            if place >= 0:
                found: dict[str, Any] = file.read_row_group(number).slice(place, 1).to_pylist()[0]
                return found
    return None


def _leaf(file: pq.ParquetFile) -> int:
    """Return the place of the key among the file's leaves, before which structs may have stood."""
    return next(place for place in range(len(file.schema.names)) if file.schema.column(place).path == KEY)
