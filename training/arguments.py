"""What people type for a training, turned into values."""

from datetime import UTC, datetime

from flywheel.errors import UsageError

MAX_TRIALS = 1000


def parse_as_of(text: str) -> datetime | None:
    """Read an ISO 8601 time as naive UTC; empty is None.

    Raises:
        UsageError: It is no time.
    """
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as fault:
        raise UsageError(f"as_of '{text}' is no time. Write one like 2013-04-01 or 2013-04-01T06:00:00Z.") from fault
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def parse_trials(text: str) -> int | None:
    """Read the number of trials; empty is None.

    Raises:
        UsageError: It is no whole number from 1 to 1000.
    """
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 1 <= int(text) <= MAX_TRIALS:
        raise UsageError(f"trials '{text}' is no whole number from 1 to {MAX_TRIALS}. Correct it or leave it out.")
    return int(text)
