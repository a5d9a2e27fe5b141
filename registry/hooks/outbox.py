"""The outbox: hands every event to every consumer at least once, in the order of the chain.

The chain is the outbox; a consumer's place in it moves after the delivery, so that a crash in between repeats one event
and loses none. Each consumer has a thread while there is something to deliver: one that is dead, slow or wrong holds up
itself alone. It gets the event that it did not take again, ever later, and no later event before.
"""

import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
import structlog

from flywheel import events
from flywheel.errors import FlywheelError, TransientError
from flywheel.events import Event, EventKind
from registry.guard.alert import raise_alert
from registry.hooks import deliveries
from registry.hooks.consumers import Consumer, RefusedError
from registry.hooks.roster import Roster

log = structlog.get_logger()

BATCH = 100  # events read at a time
ALERT_AFTER = 8  # tries of one event, with the default backoff about two minutes
FAILING = "hook.failing"  # what its alert is called


@dataclass(frozen=True)
class Backoff:
    """Seconds until the next try: doubled each time up to a largest, and then made shorter by up to half.

    The chance in it keeps consumers of one receiver, or registries, from coming back all at once.
    """

    first: float = 1.0
    largest: float = 300.0
    draw: Callable[[], float] = random.random

    def delay(self, attempts: int) -> timedelta:
        """Return how long to wait after `attempts` tries (1 or more)."""
        whole = min(self.first * 2.0 ** min(attempts - 1, 40), self.largest)
        return timedelta(seconds=whole * (1 - self.draw() / 2))


class Outbox:
    """A job of the registry's process.

    Args:
        engine: The database as the server's role.
        roster: Who the consumers are.
        over: Ends deliveries.
        backoff: Between tries of one event.
    """

    name = "outbox"
    seconds = 0.5

    def __init__(
        self, engine: sa.Engine, roster: Roster, over: threading.Event, backoff: Backoff | None = None
    ) -> None:
        self._engine = engine
        self._roster = roster
        self._over = over
        self._backoff = backoff or Backoff()
        self._enrolled = False
        self._lanes: dict[str, threading.Thread] = {}

    def run(self) -> None:
        """Start a thread for each consumer that has something to get and none yet.

        Raises:
            TransientError: Postgres does not answer.
        """
        try:
            with self._engine.begin() as connection:
                if self._roster.reread() or not self._enrolled:
                    self._enrol(connection)
                names = deliveries.due(connection) if self._roster.consumers else []
        except sa.exc.DBAPIError as fault:
            self._enrolled = False
            raise TransientError(f"Events wait: {str(fault).splitlines()[0]}") from fault
        self._enrolled = True
        for name in names:
            consumer = self._roster.consumers.get(name)
            if consumer is not None and not self._is_busy(name):
                self._lanes[name] = threading.Thread(target=self._serve, args=(consumer,), name=name, daemon=True)
                self._lanes[name].start()

    def _enrol(self, connection: sa.Connection) -> None:
        deliveries.install(connection)
        known = {name: consumer.describe() for name, consumer in self._roster.consumers.items()}
        deliveries.enrol(connection, known)

    def _is_busy(self, name: str) -> bool:
        lane = self._lanes.get(name)
        return lane is not None and lane.is_alive()

    def _serve(self, consumer: Consumer) -> None:
        try:
            self._try_out(consumer)
            while not self._over.is_set() and self._deliver_some(consumer):
                pass
        except (FlywheelError, sa.exc.DBAPIError) as fault:
            log.warning("delivery will be tried again", consumer=consumer.name, reason=str(fault).splitlines()[0])
        except Exception:
            log.exception("delivery failed unexpectedly and will be tried again", consumer=consumer.name)

    def _deliver_some(self, consumer: Consumer) -> bool:
        """Deliver a batch; return whether there may be more to do at once."""
        with self._engine.begin() as connection:
            place = deliveries.read_one(connection, consumer.name)
            if place is None or consumer.name not in deliveries.due(connection):
                return False
            found = events.read_after(connection, place.delivered, BATCH)
        at = place.delivered
        for event in found:
            if self._over.is_set():
                return False
            if not consumer.wants(event):
                continue
            if fault := _fault(consumer, event):
                tries = place.attempts if place.waiting == event.seq else 0
                self._defer(consumer, event, fault, tries + 1)
                return False
            if not self._advance(consumer, at, event.seq):
                return True  # somebody skipped it meanwhile
            at = event.seq
        return bool(found) and (at == found[-1].seq or self._advance(consumer, at, found[-1].seq))

    def _advance(self, consumer: Consumer, before: int, to: int) -> bool:
        with self._engine.begin() as connection:
            return deliveries.advance(connection, consumer.name, before, to)

    def _defer(self, consumer: Consumer, event: Event, fault: FlywheelError, attempts: int) -> None:
        delay = self._backoff.delay(attempts)
        said = {"consumer": consumer.name, "seq": event.seq, "attempts": attempts}
        log.warning("event not taken", **said, reason=str(fault), again_in=round(delay.total_seconds(), 1))
        is_due = attempts == (1 if isinstance(fault, RefusedError) else ALERT_AFTER)
        alerts = is_due and not _tells_of_itself(consumer, event)
        with self._engine.begin() as connection:
            if alerts:
                events.lock_head(connection)  # before the row, as `skip` does
            deliveries.defer(connection, consumer.name, event.seq, str(fault), delay)
            if alerts:
                sentence = (
                    f"Consumer '{consumer.name}' has not taken event {event.seq} ({event.kind}): {fault}. It gets no "
                    f"later one before that. Mend it, or pass over the event: `flywheel hooks skip {consumer.name}`."
                )
                raise_alert(connection, FAILING, sentence, said)

    def _try_out(self, consumer: Consumer) -> None:
        with self._engine.begin() as connection:
            number: uuid.UUID | None = deliveries.asked_test(connection, consumer.name)
        if number is None:
            return
        fault = _guarded(consumer.try_out)
        with self._engine.begin() as connection:
            deliveries.answer_test(connection, consumer.name, number, None if fault is None else str(fault))


def _fault(consumer: Consumer, event: Event) -> FlywheelError | None:
    return _guarded(lambda: consumer.deliver(event))


def _guarded(work: Callable[[], None]) -> FlywheelError | None:
    try:
        work()
    except FlywheelError as fault:
        return fault
    except Exception as fault:  # noqa: BLE001  a defect of one consumer must not stop its event for good
        return TransientError(f"unexpected {type(fault).__name__}: {fault}".splitlines()[0])
    return None


def _tells_of_itself(consumer: Consumer, event: Event) -> bool:
    """Return whether the event is an alert about this very consumer: another one would never end."""
    body = event.body
    return event.kind == EventKind.ALERT and body.get("what") == FAILING and body.get("consumer") == consumer.name
