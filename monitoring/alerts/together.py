"""Columns in which the same went wrong at the same time are one alert, and stay that one while any of them is wrong.

A join that fails takes eight columns with it: that is one trouble with one cause. What goes wrong later is another
alert, so that people are told of it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flywheel.alerts import Alert

MOST_NAMED = 3  # in a sentence and a key; the finding holds all


@dataclass(frozen=True)
class Group:
    """Columns of one alert.

    Attributes:
        key: By which the alert is known.
        since: Since when (ISO 8601).
        columns: By name, in order.
    """

    key: str
    since: str
    columns: tuple[str, ...]


def together(
    found: Mapping[str, str], standing: Iterable[Alert], *, keyed: Callable[[Sequence[str]], str] | None = None
) -> list[Group]:
    """Return the groups in which columns are told.

    Args:
        found: By column that something is wrong with, since when (ISO 8601).
        standing: Open alerts of the kind. Columns of one of them stay together in it; others are new.
        keyed: Makes the key of a new group of its columns, in order; by default they are named.
    """
    left, groups, known = dict(found), list[Group](), sorted(standing, key=lambda one: (one.opened, one.id))
    for alert in known:
        kept = tuple(name for name in alert.finding.columns if name in left)
        if kept:
            groups.append(Group(alert.finding.key, alert.finding.since, kept))
            left = {name: since for name, since in left.items() if name not in kept}
    return groups + list(_new(left, {alert.finding.key for alert in known}, keyed or named))


def _new(found: Mapping[str, str], taken: Collection[str], keyed: Callable[[Sequence[str]], str]) -> Iterator[Group]:
    for since in sorted(set(found.values())):
        columns = tuple(sorted(name for name, began in found.items() if began == since))
        key = keyed(columns)
        # The key of an alert most of whose columns are back: this is another one.
        yield Group(f"since {since}: {key}" if key in taken else key, since, columns)


def named(columns: Sequence[str]) -> str:
    """Name three columns, and count the others."""
    shown, more = list(columns[:MOST_NAMED]), len(columns) - MOST_NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1]
