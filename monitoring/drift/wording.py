"""A decision in words: what vanished, which alarms there were, or how far from one it is."""

from collections.abc import Sequence
from datetime import datetime, time

from monitoring.drift.changes import WORDS, Change, Fault
from monitoring.drift.order import number_of
from monitoring.drift.watch import Look

MOST_NAMED = 3  # in a sentence; the record names all
_ADVICE: dict[Fault, str] = {"vanished": "See whether the source still writes", "changed type": "See who has changed"}


def reason_of(looks: Sequence[Look], threshold: float, budget: float) -> str:
    """Say what some blocks come to.

    Args:
        looks: The blocks judged, in order of time, at least one.
        threshold: The e-value of an alarm.
        budget: False alarms a year at most.
    """
    changes, alarms = changes_in_words(looks), [look for look in looks if look.alarm]
    if len(alarms) > 1:
        newest = f"{len(alarms)} alarms of drift in {len(looks):,} blocks, the newest {alarm_in_words(alarms[-1])}."
        return " ".join([*changes, newest])
    if alarms:
        evidence = f"Evidence {alarms[0].e_value:,.3g}, {threshold:,.0f} is an alarm."
        return " ".join([*changes, f"Drift {alarm_in_words(alarms[0])}.", evidence])
    best = max(look.e_value for look in looks)
    quiet = (
        f"o drift in {_counted(len(looks), 'block')}: evidence of {best:,.3g} at most, where {threshold:,.0f} is an"
        f" alarm, due {'once' if budget == 1 else f'{budget:g} times'} a year at most by chance."
    )
    return " ".join([*changes, f"Otherwise n{quiet}" if changes else f"N{quiet}"])


def alarm_in_words(look: Look) -> str:
    """Return when an alarm was, and what moved most."""
    named = "; ".join(f"{one.sentence} since {moment(one.since)}" for one in look.moved[:MOST_NAMED])
    more = len(look.moved) - MOST_NAMED
    return f"{_at(look.start)}: {named}" + (f"; and {_counted(more, 'more change')}" if more > 0 else "")


def changes_in_words(looks: Sequence[Look]) -> list[str]:
    """Return a sentence for all columns of which the same became wrong in the same block."""
    first, blocks = dict[Change, datetime](), dict[Change, int]()
    for look in looks:
        for change in look.changes:
            first.setdefault(change, look.start)
            blocks[change] = blocks.get(change, 0) + 1
    groups = dict[tuple[Fault, datetime, int], list[str]]()
    for change, start in first.items():
        groups.setdefault((change.fault, start, blocks[change]), []).append(change.column)
    return [_change(fault, columns, start, count) for (fault, start, count), columns in groups.items()]


def moment(at: datetime) -> str:
    """Return a block's start as people write it: the day alone where a day begins; without times a number."""
    number = number_of(at)
    if number is not None:
        return f"block {number}"
    return at.date().isoformat() if at.time() == time() else at.isoformat(" ", "minutes")


def _at(start: datetime) -> str:
    return f"{'on' if number_of(start) is None else 'in'} {moment(start)}"


def _change(fault: Fault, columns: Sequence[str], start: datetime, blocks: int) -> str:
    what, then = WORDS[fault], _ADVICE[fault]
    first = _at(start)
    when = first if blocks == 1 else f"in {blocks:,} blocks, the first {first}"
    if len(columns) == 1:
        return f"Column '{columns[0]}' has {what} {when}. {then} it."
    named = ", ".join(f"'{one}'" for one in columns[:MOST_NAMED])
    more = f" and {len(columns) - MOST_NAMED:,} more" if len(columns) > MOST_NAMED else ""
    return f"Columns {named}{more} have {what} {when}. {then} them."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
