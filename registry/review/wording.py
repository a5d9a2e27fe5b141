"""The audit trail in words: one sentence an event, for people who do not know its kinds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from flywheel.events import Event, EventKind
from flywheel.rollbacks import Cause

Body = Mapping[str, Any]
Words = Callable[[Body], str]

# The timeline shows a mark beside each: good, bad, or neither.
GOOD = frozenset({EventKind.REVIEW_APPROVED, EventKind.ROLLOUT_PROMOTED, EventKind.POLICY_ADOPTED})
BAD = frozenset(
    {
        EventKind.TRANSITION_REFUSED,
        EventKind.REVIEW_REJECTED,
        EventKind.ROLLOUT_ROLLED_BACK,
        EventKind.ROLLOUT_HELD,
        EventKind.POINTER_REVERTED,
        EventKind.OVERRIDDEN,
        EventKind.ALERT,
        EventKind.POLICY_REJECTED,
    }
)
NO_STAGE = {"None": "no stage", "Deleted_Internal": "deleted", "": "no stage"}


@dataclass(frozen=True)
class Told:
    """An event as the timeline shows it: who, what (continues the name), more on it, when, and its number.

    `parts` are the events that one line stands for.
    """

    who: str
    what: str
    more: str
    tone: str
    at: datetime
    seq: int
    parts: tuple["Told", ...] = ()


def tell_all(events: Iterable[Event]) -> list[Told]:
    """Put events into words, the newest first; what one run of the gates measured is one line."""
    told: list[Told] = []
    for measured, group in groupby(events, key=_run_of_gates):
        lines = [tell(event) for event in group]
        told.extend([_together(lines)] if isinstance(measured, str) and len(lines) > 1 else lines)
    return told[::-1]


def _run_of_gates(event: Event) -> str | int:
    """Return who measured and of what, or the event's own number."""
    return f"{event.actor} {event.subject}" if event.kind == EventKind.GATE_MEASURED else event.seq


def _together(lines: list[Told]) -> Told:
    last = lines[-1]
    bad, good = (sum(line.tone == tone for line in lines) for tone in ("bad", "good"))
    rest = len(lines) - bad - good
    counts = [
        f"{count} {word}" for count, word in ((good, "passed"), (bad, "failed"), (rest, "could not run")) if count
    ]
    tone = "bad" if bad else "" if rest else "good"
    return Told(
        last.who, f"measured {len(lines)} gates: {', '.join(counts)}", "", tone, last.at, last.seq, tuple(lines)
    )


def tell(event: Event) -> Told:
    """Put an event into words; one of an unknown kind is named by its kind."""
    words = WORDS.get(event.kind)
    body = event.body
    what = words(body) if words else f"recorded '{event.kind}'"
    tone = "good" if event.kind in GOOD else "bad" if event.kind in BAD else ""
    if event.kind == EventKind.GATE_MEASURED:
        tone = {"pass": "good", "fail": "bad"}.get(str(body.get("outcome")), "")
    return Told(event.actor, what, _more(event), tone, event.at, event.seq)


def _more(event: Event) -> str:
    for key in ("reason", "comment", "sentence", "message"):
        said = event.body.get(key)
        if isinstance(said, str) and said.strip():
            return said
    return ""


def _version(body: Body) -> str:
    number = _text(body, "version")
    return f"version {number}" if number else "it"


def _transition(body: Body) -> str:
    before, after = _stage(body, "from"), _stage(body, "to")
    if body.get("rollback"):
        return f"rolled back to {_version(body)}"
    if body.get("to") == "Deleted_Internal":
        return f"deleted {_version(body)}, which was in {before}"
    if body.get("to") == "None":
        return f"took {_version(body)} out of {before}"
    return f"moved {_version(body)} from {before} to {after}"


def _refused(body: Body) -> str:
    return f"was refused to move {_version(body)} to {_stage(body, 'to')}"


def _alias(body: Body) -> str:
    alias, after, before = _text(body, "alias"), _text(body, "version"), _text(body, "from")
    if not after:
        return f"removed the alias {alias} from version {before}" if before else f"removed the alias {alias}"
    return f"made version {after} the {alias}" + (f", instead of version {before}" if before else "")


def _gate(body: Body) -> str:
    outcome = {"pass": "passes", "fail": "fails", "could_not_run": "could not run"}.get(
        _text(body, "outcome"), "answered"
    )
    return f"measured: gate {_text(body, 'gate')} {outcome}"


def _step(body: Body) -> str:
    share = body.get("share", body.get("percent"))
    if share == 0:
        return "let it answer copies of the champion's requests"
    return "took the rollout a step further" + (f", to {share} % of the traffic" if share is not None else "")


def _rolled_back(body: Body) -> str:
    return "ended the experiment without a winner" if body.get("cause") == Cause.NO_WINNER else "rolled it back"


def _retrained(body: Body) -> str:
    if body.get("outcome") == "refused":
        return "did not train again: it takes a person"
    made = _text(body, "version")
    return f"finished training again: version {made} was registered" if made else "finished training again, in vain"


def _recalibrated(body: Body) -> str:
    before, now = (body.get(key) for key in ("before", "shift"))
    if not isinstance(before, float) or not isinstance(now, float):
        return "moved its answers"
    return f"moved its answers by {now:+.3f} in log-odds, before by {before:+.3f}"


def _expired(body: Body) -> str:
    rows = body.get("rows")
    count = rows.get("predictions") if isinstance(rows, Mapping) else None
    return f"erased {count if isinstance(count, int) else 'some'} predictions made before {_text(body, 'before')}"


def _renamed(body: Body) -> str:
    return f"renamed the model from {_text(body, 'from')} to {_text(body, 'to')}"


def _reverted(body: Body) -> str:
    what = _text(body, "alias") or _text(body, "what") or "a stage"
    return f"put back {what}, which had been moved past the registry"


def _said(what: str) -> Words:
    return lambda body: what


WORDS: Mapping[str, Words] = {
    EventKind.VERSION_CREATED: lambda body: f"registered {_version(body)}",
    EventKind.VERSION_SIGNED: lambda body: f"signed {_version(body)}",
    EventKind.TRANSITION: _transition,
    EventKind.TRANSITION_REFUSED: _refused,
    EventKind.ALIAS_MOVED: _alias,
    EventKind.MODEL_RENAMED: _renamed,
    EventKind.REVIEW_COMMENTED: _said("commented"),
    EventKind.REVIEW_APPROVED: _said("approved"),
    EventKind.REVIEW_REJECTED: _said("rejected it"),
    EventKind.REVIEW_CHANGES_REQUESTED: _said("asked for changes"),
    EventKind.REVIEW_WITHDRAWN: _said("withdrew their review"),
    EventKind.GATES_REQUESTED: _said("asked for the gates to run"),
    EventKind.GATE_MEASURED: _gate,
    EventKind.POLICY_PROPOSED: _said("proposed a change of the policy"),
    EventKind.POLICY_APPROVED: _said("approved a change of the policy"),
    EventKind.POLICY_REJECTED: _said("rejected a change of the policy"),
    EventKind.POLICY_ADOPTED: _said("adopted a policy"),
    EventKind.POINTER_REVERTED: _reverted,
    EventKind.OVERRIDDEN: _said("broke the glass: overrode the policy"),
    EventKind.ACCOUNT_CHANGED: lambda body: f"changed the account of {_text(body, 'user') or 'somebody'}",
    EventKind.TOKEN_ISSUED: lambda body: f"issued a token to {_text(body, 'user') or 'a service'}",
    EventKind.TOKEN_REVOKED: lambda body: f"revoked a token of {_text(body, 'user') or 'a service'}",
    EventKind.HOOK_SKIPPED: lambda body: f"skipped a delivery to {_text(body, 'hook') or 'a hook'}",
    EventKind.ALERT: _said("raised an alert"),
    EventKind.ALERT_ACKNOWLEDGED: _said("knows of an alert"),
    EventKind.ALERT_CLOSED: _said("closed an alert"),
    EventKind.ALERT_SILENCED: _said("silenced alerts"),
    EventKind.ALERT_UNSILENCED: _said("ended a silence"),
    EventKind.ROLLOUT_STARTED: lambda body: f"started the rollout of {_version(body)}",
    EventKind.ROLLOUT_STEP: _step,
    EventKind.ROLLOUT_PROMOTED: _said("finished the rollout: all traffic goes to it"),
    EventKind.ROLLOUT_ROLLED_BACK: _rolled_back,
    EventKind.ROLLOUT_HELD: _said("held the rollout"),
    EventKind.ROLLOUT_BAKED: _said("let the version before it go"),
    EventKind.ROLLOUT_TURNED_BAD: _said("found that it has turned bad since it took over"),
    EventKind.ROLLOUT_WARNED: _said("warned that it has turned bad since it took over"),
    EventKind.ROLLOUT_PAUSED: _said("paused the rollout"),
    EventKind.ROLLOUT_RESUMED: _said("let the rollout go on"),
    EventKind.ROLLOUT_ALLOWED: _said("let the rollout go a step further without waiting"),
    EventKind.ROLLOUT_UNDEPLOYED: _said("took the use case out of traffic"),
    EventKind.LOG_EXPIRED: _expired,
    EventKind.MONITOR_WINDOW: _said("judged a window of its traffic"),
    EventKind.MONITOR_LOOK: _said("looked at its traffic"),
    EventKind.MONITOR_ALERT_OPENED: _said("found what somebody should look at"),
    EventKind.MONITOR_ALERT_CHANGED: _said("looked at an alert again"),
    EventKind.MONITOR_ALERT_RESOLVED: _said("found an alert to be over"),
    EventKind.MONITOR_NOTICE: _said("told people of alerts"),
    EventKind.MONITOR_RECALIBRATED: _recalibrated,
    EventKind.RETRAIN_DECIDED: _said("decided about training again"),
    EventKind.RETRAIN_STARTED: _said("started training again"),
    EventKind.RETRAIN_FINISHED: _retrained,
}


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    return "" if value is None else str(value)


def _stage(body: Body, key: str) -> str:
    stage = _text(body, key)
    return NO_STAGE.get(stage, stage)


# A review in a word, and whether it is good, bad, or a warning.
REVIEWS = {
    EventKind.REVIEW_COMMENTED: ("Comment", ""),
    EventKind.REVIEW_APPROVED: ("Approved", "good"),
    EventKind.REVIEW_REJECTED: ("Rejected", "bad"),
    EventKind.REVIEW_CHANGES_REQUESTED: ("Changes requested", "warn"),
    EventKind.REVIEW_WITHDRAWN: ("Withdrew", ""),
}

# What a version needs, by the names that its standing uses.
NEEDS = {
    "author": "Author",
    "approvals": "Approvals",
    "rejections": "Objections",
    "contributors": "Four eyes",
    "freeze": "Freeze",
    "bytes": "Model files",
    "rollout": "Rollout",
}


def need(name: str) -> str:
    """Name a need for people; a gate's is "Gate" and its name."""
    if name.startswith("gate:"):
        return f"Gate: {name.removeprefix('gate:').replace('_', ' ')}"
    return NEEDS.get(name, name.replace("_", " ").capitalize())
