"""What a look changes: alerts that open, change and resolve, and the one notice that tells people of it. Pure.

One look at a use case gives at most one notice, however many alerts it changes. Silenced alerts stay open and are told
when the silence ends; acknowledged ones are told again only when they get worse, or are over.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.alerts import RANK, Alert, Board, Finding, Severity, alert_id
from flywheel.events import EventKind
from flywheel.monitor_spec import Alerts


@dataclass(frozen=True)
class Change:
    """An event to be written, of the use case that was looked at."""

    kind: EventKind
    body: dict[str, Any]


def changes(
    board: Board, use_case: str, findings: Iterable[Finding], *, examined: Collection[str], policy: Alerts
) -> list[Change]:
    """Return what a look changes, without notices.

    Args:
        board: The state before it.
        use_case: That was looked at.
        findings: What was found; of two of one kind and key the graver counts.
        examined: The kinds that this look could have found: alerts of other kinds are left as they are.
        policy: After how many quiet looks an alert is resolved.
    """
    found = _gravest(use_case, findings)
    made = [_seen(board, name, finding) for name, finding in sorted(found.items())]
    quiet = [one for one in board.of(use_case) if one.finding.kind in examined and one.id not in found]
    return [change for change in made if change is not None] + [_missed(one, policy) for one in quiet]


def notice(before: Board, after: Board, use_case: str, *, now: datetime, policy: Alerts) -> Change | None:
    """Return what people are told after a look; None when there is nothing new.

    Args:
        before: The state before the look's changes: tells which alerts are over.
        after: The state with them.
        use_case: That was looked at.
        now: UTC; silences and repeats go by it.
        policy: How often what is open is told again.
    """
    told = [(one, why) for one in after.of(use_case) if (why := _reason(after, one, now, policy))]
    over = [one for one in before.of(use_case) if one.id not in after.alerts and one.told is not None]
    told += [(one, "resolved") for one in over if before.silence_of(one, now) is None]
    if not told:
        return None
    grave = gravest(one.finding for one, _ in told)
    assert grave is not None  # noqa: S101  # something is told
    entries = [_entry(one, why) for one, why in told]
    body = {"severity": grave.value, "sentence": _sentence(use_case, told), "alerts": entries}
    return Change(EventKind.MONITOR_NOTICE, body)


def _gravest(use_case: str, findings: Iterable[Finding]) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for finding in findings:
        name = alert_id(use_case, finding.kind, finding.key)
        if name not in found or RANK[finding.severity] > RANK[found[name].severity]:
            found[name] = finding
    return found


def _seen(board: Board, name: str, finding: Finding) -> Change | None:
    """Open it, or change what is open when there is something new to say of it."""
    known = board.alerts.get(name)
    if known is None:
        return Change(EventKind.MONITOR_ALERT_OPENED, {"id": name, **finding.body()})
    if known.finding == finding and known.quiet == 0:
        return None
    return Change(EventKind.MONITOR_ALERT_CHANGED, {"id": name, "quiet": 0, **finding.body()})


def _missed(alert: Alert, policy: Alerts) -> Change:
    quiet = alert.quiet + 1
    if quiet >= policy.quiet_looks:
        return Change(EventKind.MONITOR_ALERT_RESOLVED, {"id": alert.id, "quiet": quiet, **alert.finding.body()})
    return Change(EventKind.MONITOR_ALERT_CHANGED, {"id": alert.id, "quiet": quiet, **alert.finding.body()})


def _reason(board: Board, alert: Alert, now: datetime, policy: Alerts) -> str:
    """Say why people are told of an open alert now; '' when they are not."""
    if alert.quiet > 0 or board.silence_of(alert, now) is not None:
        return ""
    if alert.told is None or alert.told_severity is None:
        return "opened"
    if RANK[alert.finding.severity] > RANK[alert.told_severity]:
        return "worse"
    due = now >= alert.told + policy.repeat and alert.acknowledged is None
    return "repeated" if due else ""


def _entry(alert: Alert, why: str) -> dict[str, Any]:
    known = None if alert.acknowledged is None else {"by": alert.acknowledged[0], "because": alert.acknowledged[1]}
    return {"id": alert.id, "why": why, "opened": alert.opened.isoformat(), "known": known, **alert.finding.body()}


def _sentence(use_case: str, told: Sequence[tuple[Alert, str]]) -> str:
    first, why = told[0]
    begin = "Resolved: " if why == "resolved" else ""
    more = f" And {len(told) - 1} more." if len(told) > 1 else ""
    return f"{use_case}: {begin}{first.finding.what}{more}"


def gravest(findings: Iterable[Finding]) -> Severity | None:
    """Return the gravest severity among findings; None without any."""
    return max((finding.severity for finding in findings), key=RANK.__getitem__, default=None)
