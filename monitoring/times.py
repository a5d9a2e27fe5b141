"""Times as people type them on the command line."""

from datetime import UTC, datetime

from flywheel.errors import UsageError


def parse_time(option: str, text: str) -> datetime:
    """Read a time; with an offset it is converted to UTC, without one it is UTC.

    Raises:
        UsageError: It is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as fault:
        raise UsageError(f"{option} '{text}' is no time. Write one like 2013-04-01 or 2013-04-01T12:00:00Z.") from fault
