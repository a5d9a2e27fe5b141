"""By how much each version's answers are moved until the next look: learned, put on record, handed to the agents.

The event is written before the file, so that a shift which is served stands on the record; a look that was killed in
between leaves the last shift as it is, and the next look records and hands over its own.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from flywheel.alerts import Finding, Severity
from flywheel.connections import write_private
from flywheel.durable import sync
from flywheel.errors import IntegrityError
from flywheel.events import EventKind, append
from flywheel.identities import MONITORING
from flywheel.package import ModelPackage
from flywheel.recalibration import KEY, KEY_BYTES, Recalibrated, path_of, read_key
from flywheel.storage import PredictionLog
from flywheel.usecase import UseCase
from monitoring.packages import digests_by_version
from monitoring.retraining.level import Learned, learn
from monitoring.retraining.recalibration import Recalibration
from monitoring.rows.question import LOSS, Asked, Question
from monitoring.windows.index import put
from monitoring.windows.window import Span, read_window

SAME = 1e-12  # what summing in another order may make of one shift


def recalibrate(
    home: Path, engine: sa.Engine, use_case: UseCase, packages: Mapping[str, ModelPackage], as_of: datetime
) -> list[Learned]:
    """Learn the shift of each version whose package allows one; record and hand over what is new.

    Args:
        home: The home folder.
        engine: Of the database with the events, as monitoring.
        use_case: Whose log is read; what it allows holds for versions that are trained with it, and for no other.
        packages: Of the versions that answered lately.
        as_of: Nothing known later is used (naive UTC).

    Raises:
        StackError: The log cannot be read.
        IntegrityError: The key is damaged, or the disk takes no file.
    """
    specs = {version: one.usecase.monitor.recalibrate for version, one in packages.items()}
    reaches = [Recalibration.of(spec).reach for spec in specs.values() if spec is not None]
    if not reaches:
        return []
    rows = read_window(PredictionLog(home / "log"), use_case, Span(as_of - max(reaches), as_of, as_of)).rows
    handover, found = Handover(home, engine, use_case.name), []
    for version, digest in digests_by_version(rows).items():
        if specs.get(version) is None:
            continue
        held = handover.held(version, digest)
        if held is None or held.as_of <= as_of:  # a look at an older time changes nothing
            own = rows.filter((pl.col("model_version") == version) & (pl.col("model_digest") == digest))
            before = held.shift if held is not None else 0.0
            learned = learn(version, own, packages[version].usecase, before, as_of)
            handover.hand(learned, digest)
            found.append(learned)
    return found


class Handover:
    """The files of one use case's versions, and the events that say of each why.

    Args:
        home: The home folder.
        engine: Of the database with the events, as monitoring.
        use_case: Its name.
        clock: Gives the time from which on a shift lasts.
    """

    def __init__(
        self, home: Path, engine: sa.Engine, use_case: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._home, self._engine, self._use_case, self._clock = home, engine, use_case, clock
        self._key = _key(home)

    def held(self, version: str, digest: str) -> Recalibrated | None:
        """Return what agents have been told of a version; None where they believe nothing of it."""
        try:
            held = Recalibrated.read(path_of(self._home, self._use_case, version), self._key)
        except (FileNotFoundError, IntegrityError):
            return None
        return held if (held.use_case, held.version, held.digest) == (self._use_case, version, digest) else None

    def hand(self, learned: Learned, digest: str) -> None:
        """Record a shift that is news, and hand it over; one that holds still lasts anew.

        Raises:
            IntegrityError: The disk takes no file; the last one holds.
        """
        if not learned.is_renewed:
            return
        if abs(learned.shift - learned.before) > SAME or self.held(learned.version, digest) is None:
            subject = f"{self._use_case}/{learned.version}"
            with self._engine.begin() as connection:
                append(connection, EventKind.MONITOR_RECALIBRATED, subject, MONITORING, learned.body())
        path = path_of(self._home, self._use_case, learned.version)
        told = Recalibrated(
            use_case=self._use_case,
            version=learned.version,
            digest=digest,
            shift=learned.shift,
            as_of=learned.as_of,
            made=self._clock(),
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            put(path, told.signed(self._key))
            sync(path.parent)
        except OSError as fault:
            raise IntegrityError(f"Recalibration {path} cannot be written: {fault}. The last one holds.") from fault


def _key(home: Path) -> bytes:
    """Return the key of a home, made at first.

    Raises:
        IntegrityError: It is damaged.
    """
    if not (home / KEY).exists():
        write_private(home / KEY, secrets.token_hex(KEY_BYTES))
    return read_key(home / KEY)


def findings_of(learned: Iterable[Learned], since: datetime, asked: Asked) -> Iterator[Finding]:
    """Yield shifts that have reached their bound, and those that nothing renews; the newest rows begin at `since`."""
    for one in learned:
        at, then = one.as_of.isoformat(), "It fades to 0 unless a look renews it."
        where = asked.command(since, Question(by=LOSS, version=one.version))
        if one.is_renewed and one.is_bounded:
            what = f"The answers of version {one.version} are moved by {one.shift:+.2f}, as far as its package allows."
            then = "It stays there. Train a version that knows the newest outcomes."
            yield Finding("recalibration", one.version, Severity.WARNING, what, at, one.why, where, then)
        elif not one.is_renewed and one.before:
            what = f"The shift of version {one.version}, {one.before:+.2f}, is not renewed. {one.why}"
            yield Finding("recalibration", one.version, Severity.WARNING, what, at, "Counted.", where, then)
