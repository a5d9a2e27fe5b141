"""The role of each column: what is an input and how features treat it, what is left out, and why."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import polars as pl

from training.sources.times import iso_format

CODE_NAME = re.compile(
    r"(^|_)(id|code|zip|zipcode|postcode|type|kind|class|category|cluster|region|store|shop|branch|group|status|dept)$",
    re.IGNORECASE,
)
KEY_NAME = re.compile(r"(^|_)(id|key|uuid|guid|number|no)$", re.IGNORECASE)
FEW_CODES, MANY_CODES = 12, 1000
FREE_TEXT = 0.5  # share of different values from which text names rows rather than kinds of rows
LATER = 0.05  # share of rows from which a time after the event cannot have been known
MIN_ROWS = 50  # below that, every whole number may happen to be unique


class Role(Enum):
    """What a column is for."""

    EVENT_TIME = "event time"
    LABEL = "label"
    ENTITY = "entity"
    INPUT = "input"
    EXCLUDED = "excluded"


class Treatment(Enum):
    """How an input becomes features."""

    NUMBER = "number"
    FLAG = "true or false"
    TEXT = "text"
    CODE = "code"  # whole numbers that name things
    MOMENT = "time"
    MOMENT_TEXT = "time as text"


@dataclass(frozen=True)
class Column:
    """One column of the table. `style` is the format of times kept as text."""

    name: str
    type: str
    role: Role
    why: str
    treatment: Treatment | None = None
    style: str | None = None


def find_entity(frame: pl.DataFrame, apart: Iterable[str]) -> str | None:
    """Name the one column that looks like a key: unique, never missing, text or whole numbers, and called like one."""
    found = [
        column.name
        for column in frame
        if column.name not in set(apart)
        and KEY_NAME.search(column.name)
        and (column.dtype == pl.String or column.dtype.is_integer())
        and not column.null_count()
        and frame.height >= MIN_ROWS
        and column.n_unique() == frame.height
    ]
    return found[0] if len(found) == 1 else None


def judge(column: pl.Series, times: pl.Series) -> Column:
    """Decide on one column that is neither event time, label nor entity.

    Args:
        column: As the source has it, (n_rows,).
        times: Event times, naive UTC, (n_rows,).
    """
    useless = _useless(column)
    if useless is not None:
        return _excluded(column, useless)
    kind, distinct = column.dtype, column.n_unique()
    if kind == pl.Boolean:
        return _input(column, Treatment.FLAG, "two values")
    if kind.is_temporal():
        return _moment(column, times)
    if kind.is_numeric():
        return _number(column, distinct)
    return _text(column.cast(pl.String), times, distinct)


def _useless(column: pl.Series) -> str | None:
    kind = column.dtype
    if column.null_count() == len(column):
        return "it has no value in any row"
    if kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Time, pl.Duration):
        return f"no model takes {kind}"
    return f"it is always {column[0]}" if column.n_unique() == 1 else None


def _number(column: pl.Series, distinct: int) -> Column:
    if not column.dtype.is_integer():
        return _input(column, Treatment.NUMBER, "a decimal number")
    if distinct == len(column) and distinct >= MIN_ROWS:
        return _excluded(column, "a different number in each row: it names rows")
    if CODE_NAME.search(column.name) and distinct <= MANY_CODES:
        return _input(column, Treatment.CODE, f"{distinct:,} whole numbers under the name of a code: taken as text")
    spread = int(column.max()) - int(column.min()) + 1  # type: ignore[arg-type]  # integers
    if 2 < distinct <= FEW_CODES and spread > 2 * distinct:
        return _input(column, Treatment.CODE, f"only {distinct} whole numbers, with gaps: taken as codes, as text")
    return _input(column, Treatment.NUMBER, f"{distinct:,} whole numbers")


def _text(column: pl.Series, times: pl.Series, distinct: int) -> Column:
    there = column.drop_nulls()
    style = iso_format(there[0].strip())
    if style is not None:
        parsed = column.str.strip_chars().str.to_datetime(style, time_unit="us", strict=False)
        if parsed.null_count() == column.null_count():
            return _moment(parsed, times, style)
    if distinct == len(column) and distinct >= MIN_ROWS:
        return _excluded(column, "a different text in each row: it names rows")
    if len(there) >= MIN_ROWS and there.n_unique() > FREE_TEXT * len(there):
        return _excluded(column, f"{distinct:,} different texts in {len(there):,} rows: no kinds of rows")
    return _input(column, Treatment.TEXT, f"text with {distinct:,} values")


def _moment(column: pl.Series, times: pl.Series, style: str | None = None) -> Column:
    kind = column.dtype
    zoned = isinstance(kind, pl.Datetime) and kind.time_zone is not None
    plain = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else column.cast(pl.Datetime("us"))
    later = float((plain > times).sum()) / max(len(column) - column.null_count(), 1)
    if later > LATER:
        return _excluded(column, f"it lies after the event time in {later:.0%} of rows: not known then, if not planned")
    treatment = Treatment.MOMENT if style is None else Treatment.MOMENT_TEXT
    return _input(column, treatment, "a time before the event: hours since then", style)


def _input(column: pl.Series, treatment: Treatment, why: str, style: str | None = None) -> Column:
    missing = column.null_count() / len(column)
    why = f"{why}, {missing:.0%} missing" if missing >= 0.01 else why
    return Column(column.name, str(column.dtype), Role.INPUT, why, treatment, style)


def _excluded(column: pl.Series, why: str) -> Column:
    return Column(column.name, str(column.dtype), Role.EXCLUDED, why)
