"""Lengths of time as people write them in files: 30s, 5m, 12h, 1d, 2w."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

UNIT_WANTED = "write a number and a unit: 30s, 5m, 12h, 1d or 2w"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: object) -> object:
    """Turn `1d`, `90d`, `12h` into a timedelta; leave the rest to pydantic."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(UNIT_WANTED)
    return read_duration(value)


def read_duration(value: str) -> timedelta:
    """Read a length of time.

    Raises:
        ValueError: It is none; says what to write.
    """
    match = re.fullmatch(r"(\d+)([smhdw])", value.strip())
    if match is None:
        raise ValueError(UNIT_WANTED)
    try:
        return timedelta(**{UNITS[match[2]]: int(match[1])})
    except OverflowError as fault:
        raise ValueError("it is longer than time itself; " + UNIT_WANTED) from fault


def duration_text(length: timedelta) -> str:
    """Write a length of time as `read_duration` reads it."""
    seconds = round(length.total_seconds())
    size, letter = next((size, letter) for size, letter in SECONDS if seconds % size == 0)
    return f"{seconds // size}{letter}"


SECONDS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_text, when_used="json")]
