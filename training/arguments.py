"""What people type for a training, turned into values."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from flywheel.durations import parse_duration
from flywheel.errors import UsageError
from flywheel.usecase import UseCase

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


def parse_like(text: str) -> bool:
    """Say whether only what the champion was made of may be trained; empty is no.

    Raises:
        UsageError: It names anything but the champion.
    """
    if text.strip() not in ("", "champion"):
        raise UsageError(f"like '{text}' is nothing to train like. Write champion, or leave it out.")
    return bool(text.strip())


def parse_length(name: str, text: str) -> timedelta | None:
    """Read a length of time such as 90d; empty is None.

    Raises:
        UsageError: It is none, or nothing long.
    """
    if not text.strip():
        return None
    try:
        length = parse_duration(text)
    except ValueError as fault:
        raise UsageError(f"{name} '{text}' is no length of time: {fault}.") from fault
    if not isinstance(length, timedelta) or not length:
        raise UsageError(f"{name} '{text}' is no time at all. Write one like 90d, or leave it out.")
    return length


def with_rows(usecase: UseCase, lengths: Mapping[str, timedelta | None]) -> UseCase:
    """Return the use case with other `train.window` and `train.half_life`, where they are given.

    The version's package carries the use case as it was trained, so that it is reproduced in the same way.
    """
    given = {name: length for name, length in lengths.items() if length is not None}
    return usecase.model_copy(update={"train": usecase.train.model_copy(update=given)}) if given else usecase
