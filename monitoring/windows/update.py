"""One update of the store of blocks: what is new in the log is profiled and merged, and labels are joined anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flywheel.position import Position
from flywheel.storage import PredictionLog
from flywheel.usecase import Task
from monitoring.windows.claims import Claims
from monitoring.windows.deliveries import LATEST
from monitoring.windows.index import Index, Moment, Quarantined
from monitoring.windows.intake import Intake
from monitoring.windows.keys import Key
from monitoring.windows.labels import read_labels
from monitoring.windows.lens import Lenses
from monitoring.windows.merging import merge
from monitoring.windows.reading import Reader
from monitoring.windows.store import BlockStore

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Update:
    """What an update did.

    Args:
        changed: Starts of the blocks that are new or other than before, by version and arm, in order of time: what was
            decided on them has to be decided again.
        claims: What is odd about the outcomes of the span whose labels may still change.
        quarantined: Files of the log that cannot be read; their rows are missing, and are read once the files can be.
        unprofiled: Rows so far, by version whose package is not here.
    """

    changed: Mapping[Key, tuple[datetime, ...]] = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)
    quarantined: tuple[Quarantined, ...] = ()
    unprofiled: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Args:
        log: The prediction log.
        use_case: Whose rows.
        task: What it predicts: which field of an outcome counts.
        lenses: How a version's rows are profiled; None for one whose package is not here.
        label_delay: How long after its event an outcome is due.
    """

    log: PredictionLog
    use_case: str
    task: Task
    lenses: Lenses
    label_delay: timedelta


def update_blocks(store: BlockStore, source: Source, as_of: datetime) -> Update:
    """Bring the store up to the end of the log, with the outcomes known by `as_of` (naive UTC).

    Labels of a block may change until `label_delay` and `LATEST` after its begin and a block's length; then it keeps
    those it has. Rows of inputs and answers that come later still are merged.

    Raises:
        IntegrityError: The store is damaged.
        StackError: The log cannot be read beyond single files, or the disk takes nothing.
    """
    with store.alone():
        index = store.index()
        reader = Reader(source.log, source.use_case)
        end = index.position.latest(reader.newest())
        intake = Intake(source.lenses, store.deliveries(index), unprofiled=dict(index.unprofiled))
        _take_all(intake, reader, index, end)
        began = _began(index, intake.began, as_of)
        aside = reader.aside()
        labels = read_labels(aside, source.task, source.lenses, since=_earliest(began, end), until=end, as_of=as_of)
        chapters, changed = merge(store.folder, index, intake, labels)
        closed = max(index.closed or datetime.min, as_of - source.label_delay - LATEST)
        waiting, lines = intake.deliveries.since(as_of).to_bytes()
        store.replace(
            Index(
                position=end,
                chapters=chapters,
                waiting=store.keep(waiting, "parquet"),
                lines=store.keep(lines, "parquet"),
                began={start: position for start, position in began.items() if start >= closed},
                closed=closed,
                moments=_moments(index, Moment(time=as_of, position=end)),
                quarantined=tuple(reader.quarantined),
                unprofiled=intake.unprofiled,
            )
        )
        told = {(one.table, one.file): one for one in [*aside.quarantined, *reader.quarantined]}
        return Update(changed, labels.claims, tuple(told.values()), intake.unprofiled)


def _take_all(intake: Intake, reader: Reader, index: Index, end: Position) -> None:
    """Take in files that could not be read before, and then what is new."""
    for one in index.quarantined:
        again = reader.only(one)
        intake.take(again, Position(**{one.table: one.after}), Position(**{one.table: one.until}))
        reader.quarantined += again.quarantined
    at = index.position
    for until in at.towards(end):
        intake.take(reader, at, until)
        at = until


def _began(index: Index, new: Mapping[datetime, int], as_of: datetime) -> dict[datetime, Position]:
    """Return where the rows of each block begin whose labels may still change.

    Lines and outcomes may have come earlier than the rows that they belong to, by as much as `LATEST`.
    """
    earlier = [moment.position for moment in index.moments if moment.time <= as_of - LATEST]
    before = earlier[-1] if earlier else Position()
    found = dict(index.began)
    for start, number in new.items():
        if index.closed is None or start >= index.closed:
            known = found.get(start, Position(predictions=number, requests=before.requests, outcomes=before.outcomes))
            found[start] = known.model_copy(update={"predictions": min(known.predictions, number)})
    return found


def _earliest(began: Mapping[datetime, Position], end: Position) -> Position:
    """Return the position before the first row of any open block, the end where none is open."""
    first = end
    for position in began.values():
        first = first.earliest(position)
    return first


def _moments(index: Index, now: Moment) -> tuple[Moment, ...]:
    """Add where the log is now, at most once an hour, and leave out those that nobody will ask for."""
    last = index.moments[-1].time if index.moments else datetime.min
    moments = [*index.moments, now] if now.time - last >= HOUR else list(index.moments)
    old = [moment for moment in moments if moment.time <= now.time - LATEST]
    return (*old[-1:], *moments[len(old) :])
