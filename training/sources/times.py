"""Times: whatever a source holds becomes naive UTC in microseconds, or is refused with its rows."""

import re
import zoneinfo

import polars as pl

from flywheel.errors import DataError
from training.sources.faults import count_rows, name_rows

TIME = pl.Datetime("us")
ZONE = r"\d{2}:?\d{2}.*([zZ]|[+-]\d{2}(:?\d{2})?)$"
SHAPE = re.compile(
    r"\d{4}(?P<sep>[-/])\d{1,2}(?P=sep)\d{1,2}"
    r"(?:(?P<between>[T ])\d{1,2}:\d{2}(?P<seconds>:\d{2}(?P<fraction>\.\d+)?)?)?"
    r"\s?(?P<zone>[zZ]|[+-]\d{2}:?(?:\d{2})?)?"
)


def utc_times(column: pl.Series, zone: str, *, what: str, entity: pl.Series | None = None) -> pl.Series:
    """Return a column of datetimes, dates or ISO 8601 text as naive UTC; missing stays missing.

    Args:
        column: (n_rows,), in the source's order.
        zone: Times without a zone are in it. Of an hour that a clock shows twice, the first is meant.
        what: Names the column in messages, like `Event time`.
        entity: Names rows in messages.

    Raises:
        DataError: Text is no time, times with and without a zone are mixed, a local time does not exist in its zone,
            or the column is of another type.
    """
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        column = _parse(column, what, entity)
    kind = column.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(TIME)
    if kind != pl.Date and not isinstance(kind, pl.Datetime):
        raise DataError(f"{what} '{column.name}' is of type {kind}. Make it a datetime or ISO 8601 text in the source.")
    return _localised(column.cast(TIME), zone, what, entity)


def _localised(column: pl.Series, zone: str, what: str, entity: pl.Series | None) -> pl.Series:
    if zone == "UTC":
        return column
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as fault:
        raise DataError(f"data.time_zone '{zone}' is no time zone. Write one like Europe/Berlin.") from fault
    local = column.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    absent = local.is_null() & column.is_not_null()
    if absent.any():
        raise DataError(
            f"{what} '{column.name}' holds times that clocks in {zone} skip: {name_rows(absent, column, entity)}."
            " Correct data.time_zone, or give the times a zone in the source."
        )
    return local.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _parse(text: pl.Series, what: str, entity: pl.Series | None) -> pl.Series:
    text = text.str.strip_chars()
    zoned = text.str.contains(ZONE)
    if zoned.any() and not zoned.all():
        raise DataError(
            f"{what} '{text.name}' mixes times with a zone ({name_rows(zoned.fill_null(False), text, entity)}) and"
            f" without ({name_rows(~zoned.fill_null(True), text, entity)}). Give all of them one in the source."
        )
    parsed = _parse_all(text, zoned=bool(zoned.any()))
    wrong = parsed.is_null() & text.is_not_null()
    if wrong.any():
        raise DataError(
            f"{what} '{text.name}' is no ISO 8601 time in {count_rows(int(wrong.sum()))}:"
            f" {name_rows(wrong, text, entity)}. Write times like 2024-01-31T10:00:00Z in the source."
        )
    return parsed


def _parse_all(text: pl.Series, *, zoned: bool) -> pl.Series:
    """Parse with the format of the first value, what is left with the format of the first of these, and so on."""
    kind = pl.Datetime("us", "UTC") if zoned else TIME
    parsed = pl.Series(text.name, [None], dtype=kind).new_from_index(0, len(text))
    tried: set[str] = set()
    while (left := (parsed.is_null() & text.is_not_null()).arg_true()).len():
        style = _format(text[left[0]])
        if style is None or style in tried:
            return parsed
        tried.add(style)
        found = text.str.to_datetime(style, time_unit="us", time_zone="UTC" if zoned else None, strict=False)
        parsed = found if len(tried) == 1 else parsed.zip_with(parsed.is_not_null(), found)
    return parsed


def _format(value: str) -> str | None:
    """Return the strptime format of one time, or None when it is not in ISO 8601 (slashes are let pass)."""
    match = SHAPE.fullmatch(value)
    if match is None or (match["zone"] and not match["between"]):
        return None
    date = f"%Y{match['sep']}%m{match['sep']}%d"
    clock = ""
    if match["between"]:
        seconds = "" if not match["seconds"] else "%S%.f" if match["fraction"] else "%S"
        clock = f"{match['between']}%H:%M" + (f":{seconds}" if seconds else "")
    space = " " if match["zone"] and " " in value[-len(match["zone"]) - 1 :][:1] else ""
    return f"{date}{clock}{space}" + ("%#z" if match["zone"] else "")
