"""Times: whatever a source holds becomes naive UTC in microseconds, or is refused with its rows."""

import re
import zoneinfo

import polars as pl

from flywheel.errors import DataError
from training.sources.faults import count_rows, name_rows

TIME = pl.Datetime("us")
ZONE = r"\d:\d{2}.*([zZ]|[+-]\d{2}(:?\d{2})?)$"
SHAPE = re.compile(
    r"\d{4}(?P<sep>[-/])\d{1,2}[-/]\d{1,2}"
    r"(?:(?P<between>[T ])\d{1,2}:\d{2}(?P<seconds>:\d{2}(?P<fraction>\.\d+)?)?)?"
    r"\s?(?P<zone>[zZ]|[+-]\d{2}:?(?:\d{2})?)?"
)
CLOCKS = [f"{between}%H:%M{seconds}" for between in "T " for seconds in ("", ":%S", ":%S%.f")]
# By whether they have a zone: every format of `SHAPE`.
STYLES = {
    False: [f"%Y{sep}%m{sep}%d{clock}" for sep in "-/" for clock in ("", *CLOCKS)],
    True: [f"%Y{sep}%m{sep}%d{clock}{space}%#z" for sep in "-/" for clock in CLOCKS for space in ("", " ")],
}


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
    if not zoned.any() or zoned.all():
        parsed = _parse_all(text, zoned=bool(zoned.any()))
        _refuse(parsed.is_null() & text.is_not_null(), text, what, entity)
        return parsed
    _refuse(~text.str.contains(f"^(?:{SHAPE.pattern})$"), text, what, entity)
    with_zone, without = (
        name_rows(zoned.fill_null(False), text, entity),
        name_rows(~zoned.fill_null(True), text, entity),
    )
    raise DataError(
        f"{what} '{text.name}' mixes times with a zone ({with_zone}) and without ({without})."
        " Give all of them one in the source."
    )


def _refuse(wrong: pl.Series, text: pl.Series, what: str, entity: pl.Series | None) -> None:
    if wrong.any():
        raise DataError(
            f"{what} '{text.name}' is no ISO 8601 time in {count_rows(int(wrong.sum()))}:"
            f" {name_rows(wrong, text, entity)}. Write times like 2024-01-31T10:00:00Z in the source."
        )


def _parse_all(text: pl.Series, *, zoned: bool) -> pl.Series:
    """Parse with the format of the first value; what is left, with every other format that a value of it has."""
    known = text.drop_nulls()
    first = iso_format(known[0]) if len(known) else None
    parsed = _try(text, first or STYLES[zoned][0], zoned=zoned)
    for style in STYLES[zoned]:
        left = parsed.is_null() & text.is_not_null()
        if not left.any():
            break
        if _try(text.filter(left), style, zoned=zoned).is_not_null().any():
            parsed = parsed.zip_with(~left, _try(text, style, zoned=zoned))
    return parsed


def _try(text: pl.Series, style: str, *, zoned: bool) -> pl.Series:
    return text.str.to_datetime(style, time_unit="us", time_zone="UTC" if zoned else None, strict=False)


def iso_format(value: str) -> str | None:
    """Return the strptime format of one time, or None when it is not in ISO 8601 (slashes are let pass)."""
    match = SHAPE.fullmatch(value)
    if (
        match is None
        or (match["zone"] and not match["between"])
        or value[: match.end("sep") + 3].count(match["sep"]) < 2
    ):
        return None
    date = f"%Y{match['sep']}%m{match['sep']}%d"
    clock = ""
    if match["between"]:
        seconds = "" if not match["seconds"] else "%S%.f" if match["fraction"] else "%S"
        clock = f"{match['between']}%H:%M" + (f":{seconds}" if seconds else "")
    space = " " if match["zone"] and " " in value[-len(match["zone"]) - 1 :][:1] else ""
    return f"{date}{clock}{space}" + ("%#z" if match["zone"] else "")
