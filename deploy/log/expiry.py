"""`flywheel log expire`: erases by hand, or says what would go, table by table."""

from collections.abc import Iterator
from datetime import datetime

from deploy.log.housekeeping import alone, expire_recorded, in_audit_trail, tidy
from deploy.log.retention import Going, limit_of, survey
from flywheel.errors import UsageError
from flywheel.serving import load_serving
from flywheel.settings import Settings
from flywheel.storage import RETENTION_HOURS, PredictionLog


def expire_by_hand(
    settings: Settings, now: datetime, *, usecase: str | None, days: int | None, dry_run: bool
) -> Iterator[str]:
    """Erase, and yield lines that say what went.

    Args:
        settings: Whose log.
        now: With a zone.
        usecase: Only this one; None: all.
        days: None: what serving.yaml says, and where it says nothing, nothing goes.
        dry_run: Only say what would go.

    Raises:
        UsageError: The use case has no log, or it is not said how long anything is kept.
        FlywheelError: It cannot be recorded, read or erased.
    """
    log = PredictionLog(settings.root / "log")
    limits = _limits(settings, log, now, usecase, days)
    if not limits:
        yield "Nothing is logged here yet."
    for use_case, limit in limits.items():
        if limit is None:
            yield f"{use_case}: kept for good, since serving.yaml sets no log.retention_days for it."
            continue
        if dry_run:
            going = survey(log, use_case, limit)
        else:
            with alone(settings.root):
                going = expire_recorded(log, use_case, limit, in_audit_trail(settings))
                tidy(log, use_case)
        yield f"{use_case}: before {limit:%Y-%m-%d} UTC, {'would go' if dry_run else 'erased'}:"
        yield from (_line(one) for one in going)
    if not dry_run and any(limits.values()):
        hours = f"{RETENTION_HOURS} to {RETENTION_HOURS + 1} hours"
        yield f"Their bytes leave the disk once no reader can need them: in {hours}, by the stack's own housekeeping."


def _limits(
    settings: Settings, log: PredictionLog, now: datetime, usecase: str | None, days: int | None
) -> dict[str, datetime | None]:
    """Return by use case before when nothing is kept; None: all is."""
    serving, known = load_serving(settings.root), log.logged()
    if usecase is not None and usecase not in known:
        raise UsageError(f"Use case '{usecase}' has no log here. Known: {', '.join(known) or 'none'}.")
    kept = {name: days or serving.of(name).log.retention_days for name in known if usecase in {None, name}}
    if usecase is not None and kept[usecase] is None:
        raise UsageError(
            f"Nothing says how long '{usecase}' is kept. Give --days, or set log.retention_days in serving.yaml."
        )
    return {name: limit_of(now, held) if held is not None else None for name, held in kept.items()}


def _line(going: Going) -> str:
    return f"  {going.table:<12} {going.rows:>12,} rows in {going.files:,} files, about {going.bytes / 1e6:,.1f} MB"
