"""What is told of columns that vanished, changed type or are missing more than they were: one finding a trouble. Pure.

A first look over months finds outages that are long over. Nobody can do anything about those, so they open no alert:
what lasts, or began within the windows that the policy looks back on, does; the rest is counted.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta

from flywheel.alerts import Alert, Finding, Severity
from flywheel.events import Event, EventKind
from monitoring.alerts.together import MOST_NAMED, Group, named, together
from monitoring.drift.changes import WORDS, Fault
from monitoring.look.outages import Outage
from monitoring.rows.question import Asked, Question
from monitoring.skew.completeness import Jump

VANISHED, MISSING = "columns", "missing"
NO_TRAINING = "Nothing is trained for it: see whoever sends these columns."
_ADVICE: Mapping[Fault, str] = {
    "vanished": "see whether the source still writes it",
    "changed type": "write it as the reference has it",
}


def told_before(events: Iterable[Event]) -> dict[str, list[str]]:
    """Return since when each column lacked values, of all alerts that were ever opened for that.

    Args:
        events: Of one use case; others than openings tell nothing.
    """
    told: dict[str, list[str]] = {}
    for event in events:
        if event.kind is EventKind.MONITOR_ALERT_OPENED and event.body.get("kind") == VANISHED:
            for column in event.body.get("columns", ()):
                told.setdefault(str(column), []).append(str(event.body["since"]))
    return told


def past(found: Iterable[Outage], recent: datetime) -> list[Outage]:
    """Return the outages that are over and began before `recent` (naive UTC): they open no alert."""
    return [one for one in found if not one.lasts and one.start < recent]


def of_columns(
    found: Sequence[Outage],
    standing: Sequence[Alert],
    told: Mapping[str, Sequence[str]],
    *,
    recent: datetime,
    asked: Asked,
) -> Iterator[Finding]:
    """Yield the outages that last, and those that are over, recent and not told yet.

    Args:
        found: All outages.
        standing: Open alerts of the use case.
        told: What `told_before` returns.
        recent: Since when what is over is told nevertheless (naive UTC).
        asked: Writes the commands that show rows.
    """
    lasting = {one.column: one for one in found if one.lasts}
    own = [alert for alert in standing if alert.finding.kind == VANISHED]
    for group in together({name: one.start.isoformat() for name, one in lasting.items()}, own):
        yield _finding(group, [lasting[name] for name in group.columns], asked)
    newest = {one.column: one for one in found if not one.lasts and one.start >= recent and not _told(one, told)}
    over = {name: one for name, one in newest.items() if name not in lasting}
    for group in together({name: one.start.isoformat() for name, one in over.items()}, ()):
        yield _finding(group, [over[name] for name in group.columns], asked)


def of_missing(
    jumps: Iterable[Jump], gone: Collection[str], standing: Sequence[Alert], *, asked: Asked
) -> Iterator[Finding]:
    """Yield what is missing far more often than in training, but for columns in `gone`: those are told already."""
    found = {jump.column: jump for jump in jumps if jump.column not in gone}
    own = [alert for alert in standing if alert.finding.kind == MISSING]
    for group in together({name: jump.day.isoformat() for name, jump in found.items()}, own):
        of_group = [found[name] for name in group.columns]
        worst = max(of_group, key=lambda jump: (jump.share - jump.usual, jump.column))
        more = f"So with {len(of_group) - 1} more: {named(group.columns)}." if len(of_group) > 1 else ""
        sure = f"A day in training has {worst.usual:.1%}, and {worst.limit:.1%} would be unusual."
        said = " ".join(filter(None, (worst.reason, more)))
        day = datetime.combine(worst.day, time())
        where = asked.command(day, _without(group), day + timedelta(days=1))
        yield Finding(
            MISSING, group.key, Severity.WARNING, said, group.since, sure, where, NO_TRAINING, columns=group.columns
        )


def _told(one: Outage, told: Mapping[str, Sequence[str]]) -> bool:
    return any(one.start <= datetime.fromisoformat(since) < one.end for since in told.get(one.column, ()))


def _without(group: Group) -> Question:
    return Question(group.columns[:MOST_NAMED], missing=True)


def _finding(group: Group, found: Sequence[Outage], asked: Asked) -> Finding:
    lasts = found[0].lasts
    start, end = min(one.start for one in found), max(one.end for one in found)
    where = asked.command(start, _without(group), end)
    severity = Severity.CRITICAL if lasts else Severity.WARNING
    sure = f"Certain: counted in {max(one.rows for one in found):,} rows."
    return Finding(
        VANISHED, group.key, severity, _sentence(group, found), group.since, sure, where, NO_TRAINING, group.columns
    )


def _sentence(group: Group, found: Sequence[Outage]) -> str:
    """Say which columns have what fault, since when, and until when where it is over."""
    parts, advice = list[str](), list[str]()
    for fault, what_to_do in _ADVICE.items():
        names = [f"'{one.column}'" for one in found if one.fault == fault]
        if names:
            parts.append(f"{named(names)} {'has' if len(names) == 1 else 'have'} {WORDS[fault]}")
            advice.append(what_to_do)
    columns = "Column" if len(found) == 1 else "Columns"
    day = f"{datetime.fromisoformat(group.since):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    if found[0].lasts:
        return f"{columns} {', and '.join(parts)} since {day}: {', '.join(advice)}."
    until = f"{max(one.end for one in found):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return f"{columns} {', and '.join(parts)} from {day} to {until}; it is over."
