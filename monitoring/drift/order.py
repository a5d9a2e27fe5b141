"""Blocks of rows without times: they are numbered, and kept as days of a time before history."""

from datetime import datetime, timedelta

DAY = timedelta(days=1)
FIRST = datetime(50, 1, 1)  # the first block that is judged; those of the reference lie before
END = datetime(1000, 1, 1)


def number_of(at: datetime) -> int | None:
    """Return the number of a block that only its order places, from 1 on; None where `at` is a time."""
    return (at - FIRST) // DAY + 1 if at < END else None


def written(at: datetime) -> str | int:
    """Return a block's start for JSON: a time in ISO 8601, or a number."""
    number = number_of(at)
    return at.isoformat() if number is None else number
