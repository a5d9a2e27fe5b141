"""Words for faults of other libraries: their first line, and which rows are meant."""

import polars as pl

SHOWN = 3
LONGEST = 40


def first_line(fault: Exception) -> str:
    """Return the first line of what a library says, without its full stop."""
    return (str(fault).strip() or type(fault).__name__).splitlines()[0].rstrip(". ")


def name_rows(bad: pl.Series, values: pl.Series | None = None, entity: pl.Series | None = None) -> str:
    """Name the first rows that `bad` marks, like `row 3 (key k3: 'soon'), row 9 (key k9: 'later') and 5 more`.

    Args:
        bad: Booleans, (n_rows,), in the order in which the source gave the rows; they are counted from 1.
        values: What stands in the column at fault.
        entity: The key of each row.
    """
    places = bad.arg_true()
    named = []
    for place in places.head(SHOWN).to_list():
        key = f"key {_short(entity[place])}" if entity is not None else ""
        value = repr(_short(values[place])) if values is not None else ""
        inside = ": ".join(part for part in (key, value) if part)
        named.append(f"row {place + 1} ({inside})" if inside else f"row {place + 1}")
    rest = len(places) - len(named)
    return ", ".join(named) + (f" and {rest:,} more" if rest else "")


def count_rows(number: int) -> str:
    """Return `1 row` or `1,234 rows`."""
    return f"{number:,} row{'' if number == 1 else 's'}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
