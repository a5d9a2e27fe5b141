"""The outbox: each event to each consumer at least once and in order, whatever stands in the way."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from flywheel import events
from flywheel.errors import TransientError
from flywheel.events import Event, EventKind
from flywheel.settings import Settings
from registry.hooks import deliveries
from registry.hooks.consumers import Consumer, RefusedError
from registry.hooks.outbox import Backoff, Outbox
from registry.hooks.roster import Roster
from tests.registry.hooks.receiver import Receiver
from tests.registry.own_database import own_database

pytestmark = pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")
QUICK = Backoff(first=0.01, largest=0.05)


@dataclass
class Taker:
    """A consumer in this process; `work` may raise."""

    name: str
    work: Callable[[Event], None] = lambda _: None
    kinds: frozenset[EventKind] = frozenset(EventKind)
    taken: list[int] = field(default_factory=list)

    def describe(self) -> dict[str, str]:
        return {"kind": "post hook", "target": "a test"}

    def wants(self, event: Event) -> bool:
        return event.kind in self.kinds

    def deliver(self, event: Event) -> None:
        self.work(event)
        self.taken.append(event.seq)

    def try_out(self) -> None:
        raise TransientError("it does not want to")


@pytest.fixture(scope="module")
def database(stack: Settings) -> Iterator[sa.Engine]:
    with own_database(stack) as made:
        yield made


@pytest.fixture
def engine(database: sa.Engine) -> sa.Engine:
    with database.begin() as connection:
        deliveries.install(connection)
        connection.exec_driver_sql("TRUNCATE flywheel.deliveries")
    return database


def outbox(engine: sa.Engine, *consumers: Consumer, path: Path | None = None) -> Outbox:
    """Make one whose consumers are known already: they begin with what comes from now on."""
    made = Outbox(engine, Roster(path, consumers), threading.Event(), QUICK)
    made.run()
    return made


def say(engine: sa.Engine, count: int = 1, kind: EventKind = EventKind.TRANSITION) -> list[int]:
    with engine.begin() as connection:
        return [events.append(connection, kind, "churn/1", "ada", {"n": number}).seq for number in range(count)]


def run_until(box: Outbox, found: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < until, "not within the time"
        box.run()
        time.sleep(0.01)


def place(engine: sa.Engine, name: str) -> deliveries.Delivery:
    with engine.connect() as connection:
        found = deliveries.read_one(connection, name)
    assert found is not None
    return found


def test_every_event_comes_once_and_in_order_and_a_new_consumer_begins_with_what_comes_now(engine: sa.Engine) -> None:
    say(engine, 3)
    taker = Taker("chat")
    box = outbox(engine, taker)
    said = say(engine, 250)  # more than are read at once
    run_until(box, lambda: place(engine, "chat").lag == 0)
    assert taker.taken == said


def test_a_restart_goes_on_where_the_last_one_stood(engine: sa.Engine) -> None:
    first, second = Taker("chat"), Taker("chat")
    box = outbox(engine, first)
    said = say(engine, 2)
    run_until(box, lambda: place(engine, "chat").lag == 0)
    later = say(engine, 2)
    box = outbox(engine, second)
    run_until(box, lambda: place(engine, "chat").lag == 0)
    assert (first.taken, second.taken) == (said, later)


def test_an_event_that_is_not_taken_comes_again_before_any_later_one_and_others_are_not_held_up(
    engine: sa.Engine,
) -> None:
    tries: list[int] = []

    def refuse_some(event: Event) -> None:
        tries.append(event.seq)
        if len(tries) < 5:
            raise TransientError("not now")

    stubborn, well = Taker("stubborn", refuse_some), Taker("well")
    box = outbox(engine, stubborn, well)
    said = say(engine, 3)
    run_until(box, lambda: place(engine, "well").lag == 0)
    run_until(box, lambda: place(engine, "stubborn").lag == 0)
    assert tries == [said[0]] * 5 + said[1:]
    assert stubborn.taken == well.taken == said
    assert (place(engine, "stubborn").fault, place(engine, "stubborn").attempts) == (None, 0)


def test_a_consumer_that_hangs_holds_up_itself_alone(engine: sa.Engine) -> None:
    over = threading.Event()

    def hang(_: Event) -> None:
        over.wait(30)

    hanging, well = Taker("hanging", hang), Taker("well")
    box = outbox(engine, hanging, well)
    said = say(engine, 2)
    run_until(box, lambda: well.taken == said)
    assert hanging.taken == []
    over.set()
    run_until(box, lambda: hanging.taken == said)


def test_a_defect_of_a_hook_is_shown_with_its_event_and_tried_again(engine: sa.Engine) -> None:
    def fail(_: Event) -> None:
        raise KeyError("nothing")

    broken = Taker("broken", fail)
    box = outbox(engine, broken)
    (seq,) = say(engine)
    run_until(box, lambda: place(engine, "broken").attempts >= 2)
    assert place(engine, "broken").waiting == seq
    assert place(engine, "broken").fault == "unexpected KeyError: 'nothing'"


def test_a_refusal_is_alerted_at_once_and_the_alert_about_it_never_makes_another(engine: sa.Engine) -> None:
    tries: list[int] = []

    def refuse(event: Event) -> None:
        tries.append(event.seq)
        if event.kind == EventKind.ALERT or len(tries) < 3:
            raise RefusedError("it answered 400")

    def alerts() -> list[tuple[str, int]]:
        with engine.connect() as connection:
            found = events.read(connection, EventKind.ALERT)
        return [(one.body["what"], one.body["seq"]) for one in found if one.body["consumer"] == "picky"]

    picky = Taker("picky", refuse)
    box = outbox(engine, picky)
    (seq,) = say(engine)
    run_until(box, lambda: tries.count(seq) == 3 and len(tries) > 6)  # then the alert about itself, again and again
    assert picky.taken == [seq]
    assert alerts() == [("hook.failing", seq)]


def test_events_that_nobody_wants_are_passed_over(engine: sa.Engine) -> None:
    taker = Taker("pager", kinds=frozenset({EventKind.ALERT}))
    box = outbox(engine, taker)
    say(engine, 120)
    alert = say(engine, 1, EventKind.ALERT)
    say(engine, 3)
    run_until(box, lambda: place(engine, "pager").lag == 0)
    assert taker.taken == alert


def test_a_delivery_whose_commit_was_lost_is_made_again(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker("chat")
    box = outbox(engine, taker)

    def lose(*_: object) -> bool:
        monkeypatch.undo()
        raise sa.exc.OperationalError("UPDATE", {}, Exception("connection lost"))

    monkeypatch.setattr(deliveries, "advance", lose)
    said = say(engine, 2)
    run_until(box, lambda: place(engine, "chat").lag == 0)
    assert taker.taken == [said[0], *said]


def test_webhooks_come_and_go_with_the_file_and_a_wrong_one_changes_nothing(engine: sa.Engine, tmp_path: Path) -> None:
    receiver, path = Receiver().start(), tmp_path / "hooks.yaml"
    box = outbox(engine, path=path)
    say(engine)
    path.write_text(f"webhooks: [{{name: pager, url: '{receiver.url}'}}]")
    box.run()
    first = say(engine)
    run_until(box, lambda: receiver.seqs() == first)
    path.write_text("webhooks: [{name: pager, url: nonsense}]")
    second = say(engine)
    run_until(box, lambda: receiver.seqs() == first + second)
    path.unlink()
    box.run()
    assert not place(engine, "pager").active
    third = say(engine)
    path.write_text(f"webhooks: [{{name: pager, url: '{receiver.url}'}}]")
    run_until(box, lambda: receiver.seqs() == first + second + third)
    receiver.stop()


def test_a_receiver_that_is_down_then_fails_gets_every_event_in_order_with_stable_ids(
    engine: sa.Engine, tmp_path: Path
) -> None:
    receiver, path = Receiver(lambda before: 500 if before < 3 else 200).start(), tmp_path / "hooks.yaml"
    path.write_text(f"webhooks: [{{name: pager, url: '{receiver.url}'}}]")
    receiver.stop()
    box = outbox(engine, path=path)
    said = say(engine, 3)
    run_until(box, lambda: place(engine, "pager").attempts >= 3)
    assert place(engine, "pager").fault == "it does not answer (NewConnectionError)"
    receiver.start()
    run_until(box, lambda: place(engine, "pager").lag == 0)
    assert receiver.seqs() == [said[0]] * 4 + said[1:]
    assert len({got.delivery for got in receiver.got}) == 3
    receiver.stop()


@given(attempts=st.integers(1, 10_000), drawn=st.floats(0, 1, exclude_max=True))
def test_the_wait_grows_to_its_bound_and_never_beyond(attempts: int, drawn: float) -> None:
    seconds = Backoff(draw=lambda: drawn).delay(attempts).total_seconds()
    whole = min(2.0 ** min(attempts - 1, 40), 300)
    assert whole / 2 <= seconds <= whole
