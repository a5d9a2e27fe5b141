"""What is told of drift: of each stream the newest alarm, where it holds still or is recent; what is over is counted.

An alarm is one moment, after which a watch takes the new level as usual; but the model was still trained on the old
one. So what was told stands until people close it or the version answers no more.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from flywheel.alerts import Alert, Finding, Severity, alert_id
from flywheel.events import Event, EventKind
from monitoring.alerts.together import MOST_NAMED as COLUMNS_NAMED
from monitoring.alerts.together import named, together
from monitoring.drift.decision import DriftDecision
from monitoring.drift.moved import Moved
from monitoring.drift.relearning import BLOCKS as RELEARNED
from monitoring.drift.streams import Kind, Stream
from monitoring.drift.watch import Look
from monitoring.look.columns import past
from monitoring.look.outages import Outage
from monitoring.rows.question import NEW, Asked, Question

DRIFT = "drift"
ALERTED = (EventKind.MONITOR_ALERT_OPENED, EventKind.MONITOR_ALERT_CHANGED)
NO_TRAINING = "Drift alone starts no training; harm does."
MOST_NAMED = 5  # streams of one alarm that get an alert each; the decision names all
Alarmed = Mapping[Stream, tuple[Look, Moved]]


def of_drift(
    decision: DriftDecision, version: str, standing: Iterable[Alert], *, recent: datetime, asked: Asked
) -> Iterator[Finding]:
    """Yield what alarms name; columns that are missing more often since the same block are one finding.

    Args:
        decision: On the blocks that are new.
        version: That answered.
        standing: Open alerts of the use case.
        recent: Since when an alarm is told although its stream has gone back since (naive UTC).
        asked: Writes the commands that show rows.
    """
    told = {
        stream: (look, moved)
        for stream, (look, moved) in _newest(decision).items()
        if look.start >= recent or _holds(decision, stream)
    }
    for name, streams in _named(told).items():
        look, moved = told[streams[0]]
        said = "; ".join(told[one][1].sentence for one in streams[:COLUMNS_NAMED])
        since, sure = moved.since.isoformat(), _sure(decision, look)
        where = asked.command(moved.since, _rows_of(streams[0], version))
        yield Finding(DRIFT, f"{name}{of_version(version)}", Severity.WARNING, said, since, sure, where, NO_TRAINING)
    yield from _missing(decision, told, version, standing, asked)


def standing_drift(alerts: Iterable[Alert], versions: Iterable[str]) -> list[Finding]:
    """Return drift that was found before of versions that still answer: it holds until people close it."""
    ends = tuple(of_version(version) for version in versions)
    return [one.finding for one in alerts if one.finding.kind == DRIFT and one.finding.key.endswith(ends)]


def closed_before(events: Iterable[Event]) -> dict[str, datetime]:
    """Return since when what people closed had been, by alert.

    Args:
        events: Of one use case, in order; others than `ALERTED` and closings tell nothing.
    """
    since, closed = dict[str, datetime](), dict[str, datetime]()
    for event in events:
        if event.kind in ALERTED and event.body["kind"] == DRIFT:
            since[str(event.body["id"])] = datetime.fromisoformat(event.body["since"])
        elif event.kind is EventKind.ALERT_CLOSED and event.body["id"] in since:
            closed[str(event.body["id"])] = since[str(event.body["id"])]
    return closed


def unanswered(
    found: Iterable[Finding], use_case: str, closed: Mapping[str, datetime], every: timedelta
) -> list[Finding]:
    """Leave out drift that people have closed: blocks that late rows may change are judged, and alarm, several times.

    A stream that moved is learned anew for `RELEARNED` blocks and gives no evidence meanwhile, so what begins later is
    another change.

    Args:
        found: What alarms name.
        use_case: Whose.
        closed: What `closed_before` returns.
        every: The length of a block.
    """
    names = [(one, closed.get(alert_id(use_case, one.kind, one.key))) for one in found]
    return [one for one, was in names if was is None or datetime.fromisoformat(one.since) > was + RELEARNED * every]


def earlier(drift: Iterable[DriftDecision], outages: Iterable[Outage], recent: datetime) -> str:
    """Count what began before `recent` (naive UTC) and is over: it opens no alert; '' without any."""
    changes = len(past(outages, recent)) + sum(_past(decision, recent) for decision in drift)
    if not changes:
        return ""
    what, are = ("1 change", "is") if changes == 1 else (f"{changes:,} changes", "are")
    return f"{what} that began before {recent:%Y-%m-%d} {are} over: no alert, and all on the record."


def of_version(version: str) -> str:
    """Return how the key of a drift alert ends: what one version was trained on says nothing of the next."""
    return f" (version {version})"


def _newest(decision: DriftDecision) -> dict[Stream, tuple[Look, Moved]]:
    """Return the newest alarm of each stream that alarms name first, and of all that are missing more often."""
    return {
        moved.stream: (look, moved)
        for look in decision.alarms
        for place, moved in enumerate(look.moved)
        if place < MOST_NAMED or moved.stream.kind is Kind.MISSING
    }


def _holds(decision: DriftDecision, stream: Stream) -> bool:
    """Say whether the last alarm of a stream leaves it elsewhere than it was before the first."""
    alarms = [moved for look in decision.alarms for moved in look.moved if moved.stream == stream]
    low, high = sorted(alarms[-1].interval)
    return not low <= alarms[0].before <= high


def _past(decision: DriftDecision, recent: datetime) -> int:
    return sum(look.start < recent and not _holds(decision, one) for one, (look, _) in _newest(decision).items())


def _named(told: Alarmed) -> dict[str, list[Stream]]:
    """Return the streams of each finding by its name: the shares of a column's values rise and fall together."""
    names: dict[str, list[Stream]] = {}
    for stream in told:
        if stream.kind is not Kind.MISSING:
            detail = "" if stream.kind is Kind.SHARE else stream.detail
            name = " ".join(filter(None, (stream.column, stream.kind.value, detail)))
            names.setdefault(name, []).append(stream)
    return names


def _missing(
    decision: DriftDecision, told: Alarmed, version: str, standing: Iterable[Alert], asked: Asked
) -> Iterator[Finding]:
    found = {stream.column: one for stream, one in told.items() if stream.kind is Kind.MISSING}
    end = of_version(version)
    own = [one for one in standing if one.finding.kind == DRIFT and one.finding.key.endswith(end)]
    began = {column: look.start.isoformat() for column, (look, _) in found.items()}
    for group in together(began, own, keyed=lambda columns: f"{named(columns)} missing{end}"):
        of_group = [found[column] for column in group.columns]
        look, most = max(of_group, key=lambda one: (one[1].log_e, one[1].stream.column))
        others = [name for name in group.columns if name != most.stream.column]
        more = f"; so did those of {named(others)}" if others else ""
        since = min(moved.since for _, moved in of_group)
        where = asked.command(since, Question(group.columns[:COLUMNS_NAMED], missing=True, version=version))
        what, sure = f"{most.sentence}{more}", _sure(decision, look)
        yield Finding(
            DRIFT, group.key, Severity.WARNING, what, since.isoformat(), sure, where, NO_TRAINING, group.columns
        )


def _rows_of(stream: Stream, version: str) -> Question:
    """Return the question for the rows that moved: those with a value whose share did, or with its columns."""
    if stream.kind in (Kind.SHARE, Kind.NEW):
        value = NEW if stream.kind is Kind.NEW else stream.detail
        return Question(having=((stream.column, value),), version=version)
    other = (stream.detail,) if stream.kind is Kind.TOGETHER else ()
    return Question(tuple(filter(None, (stream.column, *other))), version=version)


def _sure(decision: DriftDecision, look: Look) -> str:
    chance = f"which chance reaches {decision.settings.false_alarms_per_year:g} times a year at most"
    return f"Evidence {look.e_value:,.3g}, an alarm from {decision.threshold:,.0f} on, {chance}."
