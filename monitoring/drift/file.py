"""Anybody's files: read, profiled on the reference's scale, and judged.

With a column of times the files' rows are cut into blocks of it. Without one rows are taken to stand in their order:
the reference's are cut into blocks of about the windows' size, enough of them to learn from, and the windows' into
blocks as large.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ValidationError

from flywheel.column_rules import ColumnType
from flywheel.errors import UsageError
from flywheel.faults import reason_of
from flywheel.monitor_spec import Drift
from flywheel.profiling.profile import profile_rows
from flywheel.profiling.series import Series
from flywheel.profiling.series_file import FORMAT, series_from
from flywheel.profiling.watched import LABEL, PREDICTION
from flywheel.time_text import times_of
from monitoring.drift.decision import DriftDecision, judge
from monitoring.drift.order import DAY, FIRST

Table = pl.DataFrame | Series

TIME = "_time"  # made where files have none
FEWEST_BLOCKS, MOST_BLOCKS, LEAST_ROWS = 60, 365, 20
OPTIONS = {"false_alarms_per_year": "budget", "least_effect": "least-effect"}
FEW_ROWS = 0.2  # of a usual block: less shows only what is glaring


@dataclass(frozen=True)
class Request:
    """What to judge: files, the column of event times, and the settings."""

    reference: Path
    windows: tuple[Path, ...]
    event_time: str | None
    settings: Drift


def settings_of(**values: Any) -> Drift:
    """Check the options of the command.

    Raises:
        UsageError: One is out of its range.
    """
    try:
        return Drift(**values)
    except ValidationError as fault:
        first = fault.errors()[0]
        name = str(first["loc"][0])
        option = f"--{OPTIONS.get(name, name)} {values[name]}"
        raise UsageError(f"{option} is wrong: {reason_of(first).rstrip('.')}. Correct it.") from fault


def judge_files(request: Request) -> tuple[DriftDecision, dict[str, Any]]:
    """Judge files.

    Returns:
        The decision, and its record: with the files' digests, so that it can be made again.

    Raises:
        UsageError: A file cannot be read, or the column of times is not there.
        DataError: A profile and the windows do not go together.
    """
    contents = {path: _content(path) for path in (request.reference, *request.windows)}
    first, *rest = (_read(path, content) for path, content in contents.items())
    if len(contents) <= len(request.windows):
        raise UsageError("A file is named twice. Name the reference and each window once.")
    timed = request.event_time is not None or isinstance(first, Series)
    reference, live = _timed(request, first, rest) if timed else _in_order(first, rest)
    decision = judge(reference, live, _settings(request, reference, rest), seasons=timed)
    decision = replace(decision, notes=(*decision.notes, *_notes(reference, live, timed=timed)))
    digests = {str(path): f"sha256:{hashlib.sha256(content).hexdigest()}" for path, content in contents.items()}
    return decision, {"files": digests, "event_time": request.event_time, **decision.body()}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise UsageError(f"{path} cannot be read: {fault.strerror}. Name CSV, Parquet or a profile.") from fault


def _read(path: Path, content: bytes) -> Table:
    if content.startswith(FORMAT.encode()):
        return series_from(content, str(path))
    try:
        if content.startswith(b"PAR1"):
            return pl.read_parquet(io.BytesIO(content))
        return pl.read_csv(io.BytesIO(content), try_parse_dates=True, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as fault:
        reason = str(fault).splitlines()[0].rstrip(".")
        raise UsageError(f"{path} is no CSV, Parquet or profile: {reason}. Write it as one of them.") from fault


def _timed(request: Request, first: Table, rest: Sequence[Table]) -> tuple[Series, Series]:
    reference = first if isinstance(first, Series) else _profiled(request, request.reference, first)
    parts = [
        part if isinstance(part, Series) else _profiled(request, path, part, reference)
        for path, part in zip(request.windows, rest, strict=True)
    ]
    for path, part in zip(request.windows, parts, strict=True):
        _follows(path, part, reference)
    live = parts[0]
    for part in parts[1:]:
        live = live.merge(part)
    return reference, live


def _follows(path: Path, window: Series, reference: Series) -> None:
    last = reference.blocks[-1].start if reference.blocks else None
    if last is not None and window.blocks and window.blocks[0].start <= last:
        raise UsageError(
            f"{path} has rows of {window.blocks[0].start:%Y-%m-%d}, and the reference goes on until {last:%Y-%m-%d}. "
            "Windows come later than the reference: leave those rows out of one of them."
        )


def _settings(request: Request, reference: Series, windows: Sequence[Table]) -> Drift:
    """Leave out answers that a profile has and rows of inputs have not; refuse to leave out what is not there."""
    known = {name for block in reference.blocks for name in block.columns}
    if unknown := [name for name in request.settings.exclude if name not in known]:
        raise UsageError(f"The reference has no column '{unknown[0]}' to exclude. It has: {', '.join(sorted(known))}.")
    frames = [frame for frame in windows if isinstance(frame, pl.DataFrame)]
    told = {name for frame in frames for name in frame.columns}
    absent = [name for name in (PREDICTION, LABEL) if frames and name in known and name not in told]
    return request.settings.model_copy(update={"exclude": (*request.settings.exclude, *absent)})


def _profiled(request: Request, path: Path, frame: pl.DataFrame, reference: Series | None = None) -> Series:
    name = request.event_time
    if name is None or name not in frame.columns:
        missing = "needs --event-time" if name is None else f"has no column '{name}'"
        raise UsageError(f"{path} {missing}. Name the column of times: {', '.join(frame.columns[:10])}.")
    frame = frame.with_columns(_times(path, frame[name]))
    if reference is None:
        columns = {column: kind for column, kind in types_of(frame).items() if column != name}
        return profile_rows(frame, columns, name, every=request.settings.block)
    columns = {column.name: column.type for column in reference.scale.columns}
    return profile_rows(frame, columns, name, every=reference.every, scale=reference.scale)


def _times(path: Path, times: pl.Series) -> pl.Series:
    if times.dtype == pl.String:
        times = times_of(times)
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if times.dtype not in (pl.Date, pl.Datetime) or times.null_count():
        wrong = times.null_count() or len(times)
        raise UsageError(f"{path}: column '{times.name}' is no time in {wrong} rows. Write ISO 8601 in each.")
    return times.cast(pl.Datetime("us"))


def _in_order(first: Table, rest: Sequence[Table]) -> tuple[Series, Series]:
    """Cut a reference without times into blocks of about the windows' rows, and take each window as the next block."""
    frames = [frame for frame in (first, *rest) if isinstance(frame, pl.DataFrame)]
    if len(frames) <= len(rest):
        raise UsageError("A profile among the windows has times, and the reference has none. Name its --event-time.")
    base, *windows = frames
    usual = max(int(np.median([window.height for window in windows])), 1)
    blocks = min(max(base.height // usual, FEWEST_BLOCKS), MOST_BLOCKS, max(base.height // LEAST_ROWS, 1))
    size, columns = max(base.height / blocks, 1.0), types_of(base)
    before = np.arange(base.height) * blocks // max(base.height, 1) - blocks
    reference, number = profile_rows(_dated(base, before), columns, TIME), 0
    live = Series(reference.scale, reference.every)
    for window in windows:
        parts = max(round(window.height / size), 1)
        dated = _dated(window, number + np.arange(window.height) * parts // max(window.height, 1))
        live = live.merge(profile_rows(dated, columns, TIME, scale=reference.scale))
        number += parts
    return reference, live


def _notes(reference: Series, live: Series, *, timed: bool) -> Iterator[str]:
    """Yield what people should know of how the rows were cut."""
    if not (reference.blocks and live.blocks):
        return
    usual, there = reference.rows / len(reference.blocks), live.rows / len(live.blocks)
    if not timed:
        order = "Without --event-time rows are taken to stand in the order in which they came"
        yield f"{order}, about {usual:,.0f} to a block."
    if there < FEW_ROWS * usual:
        yield f"A block has {there:,.0f} rows here and {usual:,.0f} in the reference: so few show only what is glaring."
    if len(live.blocks) == 1:
        yield "One block alone is seldom proof, since one wild day may be chance: give more, or shorter blocks."


def _dated(frame: pl.DataFrame, blocks: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Give each row its block, (n_rows,): 0 is the first that is judged."""
    days = pl.Series(TIME, blocks, dtype=pl.Int64) * (DAY // timedelta(microseconds=1))
    return frame.with_columns((pl.lit(FIRST, pl.Datetime("us")) + days.cast(pl.Duration("us"))).alias(TIME))


def types_of(frame: pl.DataFrame) -> Mapping[str, ColumnType]:
    """Return the type of each column that can be profiled; lists and other nested ones cannot."""
    return {name: kind for name, dtype in frame.schema.items() if (kind := _type_of(dtype)) is not None}


def _type_of(dtype: pl.DataType) -> ColumnType | None:
    if dtype.is_integer():
        return "long"
    if dtype.is_numeric():
        return "double"
    if dtype.is_temporal() and dtype not in (pl.Duration, pl.Time):
        return "datetime"
    if dtype == pl.Boolean:
        return "boolean"
    return "string" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else None
