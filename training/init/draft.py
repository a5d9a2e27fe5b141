"""A draft of a use case: everything that is inferred from one table, each with its reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from flywheel.errors import DataError
from flywheel.usecase import Source
from training.init.candidates import find_column
from training.init.columns import Column, Role, find_entity, judge
from training.init.leaks import find_leaks
from training.init.place import stem
from training.init.spans import Spans, choose_spans
from training.init.target import Target, infer_target
from training.sources.faults import count_rows, name_rows
from training.sources.inputs import typed_inputs
from training.sources.labels import typed_label
from training.sources.table import read_table
from training.sources.times import ZONE, utc_times

SAMPLE = 200_000


@dataclass(frozen=True)
class Draft:
    """What `flywheel init` found.

    `until` is set when the newest rows lie in the future; `hours` says whether event times differ in their hour.
    """

    name: str
    source: Source
    rows: int
    event_time: str
    first: datetime
    last: datetime
    zoned: bool
    entity: str | None
    why_entity: str
    target: Target
    columns: tuple[Column, ...]
    spans: Spans
    until: datetime | None
    hours: bool

    def having(self, role: Role) -> list[Column]:
        """Return the columns of one role."""
        return [column for column in self.columns if column.role is role]


def draft(  # what the command line offers
    source: Source, folder: Path, now: datetime, *, label: str | None, event_time: str | None, entity: str | None,
    name: str | None,
) -> Draft:  # fmt: skip
    """Look at a table.

    Args:
        source: Where it is; paths are relative to `folder`.
        folder: Usually the current one.
        now: Naive UTC.
        label: The column to predict; None and unknown names are refused with the likeliest.
        event_time: The column that says when a row happened; likewise.
        entity: The key column; None looks for one.
        name: Of the use case; by default made from the source's.

    Raises:
        UsageError: A column that was named is not there, or one was not named.
        DataError: The table cannot be read, or nothing can be predicted from it.
    """
    frame = read_table(source, folder, now).frame
    event_time = find_column(frame, event_time, "--event-time")
    label = find_column(frame, label, "--label")
    if entity is not None:
        find_column(frame, entity, "--entity")
    times = _times(frame[event_time])
    zoned = _zoned(frame[event_time])
    frame = _sampled(frame.with_columns(times).sort(event_time, maintain_order=True))
    found = entity or find_entity(frame, (event_time, label))
    target = infer_target(frame[label], frame[event_time])
    columns = tuple(_columns(frame, event_time, label, found, target))
    if not any(column.role is Role.INPUT for column in columns):
        reasons = "; ".join(f"{c.name}: {c.why}" for c in columns if c.role is Role.EXCLUDED)
        raise DataError(f"No column is left to predict '{label}' from ({reasons or 'there is no other'}). Add some.")
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)  # noqa: S101  # times without gaps
    assert isinstance(last, datetime)  # noqa: S101
    delay = target.label.available_after
    return Draft(
        name=name or slug(stem(source)),
        source=source,
        rows=len(times),
        event_time=event_time,
        first=first,
        last=last,
        zoned=zoned,
        entity=found,
        why_entity="as you said" if entity else "unique in each row and named like a key",
        target=target,
        columns=columns,
        spans=choose_spans(frame[event_time], frame[label], delay),
        until=None if last < now else last + delay + timedelta(seconds=1),
        hours=frame[event_time].dt.hour().n_unique() > 1,
    )


def slug(text: str) -> str:
    """Return text as a use case may be named: lower-case letters, digits and hyphens, a letter first."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"case-{plain}".strip("-")
    return plain[:63].strip("-") if len(plain) > 1 else f"{plain}-case"


def _columns(frame: pl.DataFrame, event_time: str, label: str, entity: str | None, target: Target) -> Iterable[Column]:
    judged = {
        column.name: judge(column, frame[event_time])
        for column in frame
        if column.name not in (event_time, label, entity)
    }
    inputs = [name for name, column in judged.items() if column.role is Role.INPUT]
    typed = typed_inputs(frame.select(inputs), inputs, "UTC")
    for suspect in find_leaks(typed, typed_label(frame[label], target.label, target.task), target.task):
        judged[suspect.column] = Column(
            suspect.column, judged[suspect.column].type, Role.EXCLUDED, f"likely leak: {suspect.why}"
        )
    for name, kind in frame.schema.items():
        if name == event_time:
            yield Column(name, str(kind), Role.EVENT_TIME, "as you said")
        elif name == label:
            yield Column(name, str(kind), Role.LABEL, f"{target.task}: {target.why_task}")
        elif name == entity:
            yield Column(name, str(kind), Role.ENTITY, "the key by which outcomes find their predictions")
        else:
            yield judged[name]


def _times(column: pl.Series) -> pl.Series:
    times = utc_times(column, "UTC", what="Event time")
    if times.null_count():
        raise DataError(
            f"Event time '{column.name}' is missing in {count_rows(times.null_count())}: {name_rows(times.is_null())}."
            " Drop those rows, or name another column."
        )
    return times


def _zoned(column: pl.Series) -> bool:
    if isinstance(column.dtype, pl.Datetime):
        return column.dtype.time_zone is not None
    return column.dtype == pl.String and bool(column.str.contains(ZONE).any())


def _sampled(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep every k-th row of many: enough to judge columns, over all of time."""
    return frame.gather_every(-(-frame.height // SAMPLE)) if frame.height > SAMPLE else frame
