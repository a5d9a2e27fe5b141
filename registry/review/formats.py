"""Numbers, times and addresses as the pages write them."""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

from flywheel.rollbacks import in_one_line
from registry.review.comparison import Measured

MISSING = "–"
LEAST = 1e-9  # what is below has no digit that people would read
THRESHOLD = re.compile(r"\bover (\d+(?:\.\d+)?(?:e-\d+)?) s\b")
UNITS = ((86400 * 365, "year"), (86400, "day"), (3600, "hour"), (60, "minute"))


def moment(at: datetime) -> str:
    """Write a time, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def age(old: timedelta) -> str:
    """Write how long ago something was, in its largest unit."""
    return "just now" if old.total_seconds() < UNITS[-1][0] else f"{span(old)} ago"


def span(length: timedelta) -> str:
    """Write a length of time in its largest unit."""
    seconds = length.total_seconds()
    for size, word in UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'' if count == 1 else 's'}"
    return "less than a minute"


def figure(value: Measured | float | None) -> str:
    """Write a figure without its interval."""
    if value is None:
        return MISSING
    return number(value.value if isinstance(value, Measured) else value)


def interval(value: Measured | None) -> str:
    """Write a figure's interval; '' without one."""
    if value is None or value.low is None or value.high is None:
        return ""
    return f"{decimal(value.low)} to {decimal(value.high)}"


def number(value: float) -> str:
    """Write a number: whole ones whole."""
    # NaN and the infinities are no whole numbers either.
    return f"{value:,.0f}" if float(value).is_integer() else decimal(value)


def decimal(value: float) -> str:
    """Write a number with four decimals, a large one with one, with a real minus."""
    return (f"{value:,.4f}" if abs(value) < 100 else f"{value:,.1f}").replace("-", "−")


def short(value: float) -> str:
    """Write a number in three digits, a whole one whole; never with an exponent, unless it is next to nothing."""
    return decimals(value).replace("-", "−")


def decimals(value: float) -> str:
    """Write a number as people do: whole ones whole, others in three digits and without an exponent."""
    if not math.isfinite(value) or 0 < abs(value) < LEAST:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{Decimal(f'{value:.3g}'):f}"


def seconds(value: float) -> str:
    """Write a time span; below a second in milliseconds."""
    return f"{decimals(value * 1000)} ms" if value < 1 else f"{decimals(value)} s"


def milliseconds(text: str) -> str:
    """Write thresholds below a second in a sentence (such as "over 0.003 s") in milliseconds, as everywhere else."""
    return THRESHOLD.sub(lambda found: f"over {seconds(float(found[1]))}", text)


def change(value: Measured | float | None) -> str:
    """Write a difference with its sign, without its interval."""
    if value is None:
        return MISSING
    plain = value.value if isinstance(value, Measured) else value
    return ("+" if plain > 0 else "−" if plain < 0 else "") + number(abs(plain))


def percent(share: float) -> str:
    """Write a share from 0 to 1."""
    return f"{share * 100:.1f} %" if share * 100 < 10 and share else f"{share * 100:.0f} %"


def setting(value: str | None) -> str:
    """Write a parameter: MLflow keeps them as text, and a drawn number has 17 digits."""
    if value is None:
        return MISSING
    if value in ("", "''"):
        return "(empty)"
    try:
        return f"{float(value):.6g}" if "." in value else value
    except ValueError:
        return value


def sentence(text: str) -> str:
    """Begin with a capital letter: refusals continue a sentence, and here they stand alone."""
    return text[:1].upper() + text[1:]


def segment(text: object) -> str:
    """Write a part of an address."""
    return quote(str(text), safe="")


FILTERS = {
    "moment": moment,
    "age": age,
    "span": span,
    "figure": figure,
    "interval": interval,
    "number": number,
    "short": short,
    "milliseconds": milliseconds,
    "change": change,
    "percent": percent,
    "setting": setting,
    "sentence": sentence,
    "in_one_line": in_one_line,
    "path": segment,
}
