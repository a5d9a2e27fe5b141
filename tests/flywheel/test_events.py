"""The chain: as pure values (any tampering is found), and in a real Postgres (no role can tamper)."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from flywheel import events
from flywheel.connections import secrets
from flywheel.errors import IntegrityError
from flywheel.events import GENESIS, Event, EventKind, Head
from flywheel.settings import Settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
bodies = st.dictionaries(st.text(max_size=5), st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=3)
said = st.tuples(st.sampled_from(EventKind), st.text(max_size=8), st.text(max_size=8), bodies)


def chain(items: list[tuple[EventKind, str, str, dict[str, Any]]]) -> list[Event]:
    head, made = GENESIS, []
    for index, (kind, subject, actor, body) in enumerate(items):
        event = events.chained(head, kind, subject, actor, body, NOON + timedelta(seconds=index))
        made.append(event)
        head = Head(event.seq, event.hash)
    return made


chains = st.lists(said, min_size=1, max_size=8).map(chain)


def head_of(made: list[Event]) -> Head:
    return Head(made[-1].seq, made[-1].hash)


@given(made=chains)
def test_an_untouched_chain_verifies(made: list[Event]) -> None:
    events.verify(made, head_of(made))
    events.verify([], GENESIS)


@given(made=chains, data=st.data())
def test_any_altered_field_is_found_and_its_event_named(made: list[Event], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(made) - 1))
    victim = made[at]
    other_kind = next(kind for kind in EventKind if kind != victim.kind)
    altered = data.draw(
        st.sampled_from(
            [
                replace(victim, kind=other_kind),
                replace(victim, subject=victim.subject + "x"),
                replace(victim, actor=victim.actor + "x"),
                replace(victim, at=victim.at + timedelta(microseconds=1)),
                replace(victim, body={**victim.body, "new key": 1}),
                replace(victim, hash="0" * 64),
                replace(victim, previous="0" * 64),
            ]
        )
    )
    with pytest.raises(IntegrityError, match=f"event {victim.seq} "):
        events.verify([*made[:at], altered, *made[at + 1 :]], head_of(made))


@given(made=chains, data=st.data())
def test_any_dropped_event_is_found_and_named(made: list[Event], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(made) - 1))
    with pytest.raises(IntegrityError, match=f"event {made[at].seq} "):
        events.verify(made[:at] + made[at + 1 :], head_of(made))


@given(made=chains.filter(lambda made: len(made) > 1), data=st.data())
def test_any_two_swapped_events_are_found(made: list[Event], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(made) - 2))
    second = data.draw(st.integers(first + 1, len(made) - 1))
    swapped = list(made)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    with pytest.raises(IntegrityError, match=f"event {made[first].seq} "):
        events.verify(swapped, head_of(made))


@given(made=chains)
def test_an_event_rewritten_with_a_fresh_hash_breaks_the_next_one(made: list[Event]) -> None:
    forged = replace(made[0], actor="somebody else")
    forged = replace(forged, hash=events.event_hash(forged))
    with pytest.raises(IntegrityError):
        events.verify([forged, *made[1:]], head_of(made))


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": NOON}, {"x": object()}])
def test_a_body_that_is_no_plain_json_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="plain JSON"):
        events.chained(GENESIS, EventKind.MONITOR_WINDOW, "churn", "svc-monitoring", body, NOON)


@pytest.fixture
def engines(stack: Settings) -> Iterator[dict[str, sa.Engine]]:
    made = {role: sa.create_engine(url) for role, url in secrets(stack).databases.items()}
    yield made
    for engine in made.values():
        engine.dispose()


@pytest.fixture
def subject() -> str:
    return f"events-{uuid4().hex[:12]}/1"


def test_what_is_appended_is_read_back_and_the_chain_verifies(engines: dict[str, sa.Engine], subject: str) -> None:
    body = {"share": 0.1, "wörter": ["a", None], "big": 1e300}
    with engines["controller"].begin() as connection:
        made = events.append(connection, EventKind.ROLLOUT_STEP, subject, "svc-controller", body)
    with engines["reader"].connect() as connection:
        assert events.read(connection, subject=subject) == [made]
        assert events.read(connection, model=subject.removesuffix("/1")) == [made]
        assert events.read(connection, EventKind.ROLLOUT_HELD, subject) == []
        events.verify(events.read(connection))


def test_an_event_goes_when_its_transaction_fails(engines: dict[str, sa.Engine], subject: str) -> None:
    def fail_after_append() -> None:
        with engines["controller"].begin() as connection:
            events.append(connection, EventKind.ROLLOUT_STEP, subject, "svc-controller", {})
            raise RuntimeError("the work failed")

    with pytest.raises(RuntimeError, match="the work failed"):
        fail_after_append()
    with engines["reader"].connect() as connection:
        assert events.read(connection, subject=subject) == []


def test_installing_again_changes_nothing(engines: dict[str, sa.Engine], subject: str) -> None:
    with engines["controller"].begin() as connection:
        events.append(connection, EventKind.ROLLOUT_STEP, subject, "svc-controller", {})
    for _ in range(2):
        with engines["server"].begin() as connection:
            events.install(connection)
    with engines["reader"].connect() as connection:
        events.verify(events.read(connection))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE flywheel.events SET actor = 'nobody'",
        "DELETE FROM flywheel.events",
        "TRUNCATE flywheel.events",
        "UPDATE flywheel.chain_head SET seq = 0, hash = ''",
        "DELETE FROM flywheel.chain_head",
        "TRUNCATE flywheel.chain_head",
    ],
)
def test_even_the_owner_cannot_rewrite_the_trail(engines: dict[str, sa.Engine], subject: str, statement: str) -> None:
    with engines["controller"].begin() as connection:
        events.append(connection, EventKind.ROLLOUT_STEP, subject, "svc-controller", {})
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engines["server"].begin() as connection:
        connection.exec_driver_sql(statement)


def test_an_event_beside_the_head_is_refused(engines: dict[str, sa.Engine], subject: str) -> None:
    stray = events.chained(GENESIS, EventKind.ROLLOUT_STEP, subject, "svc-controller", {}, NOON)
    row = {"seq": 10**9, "kind": stray.kind, "subject": subject, "actor": stray.actor, "at": NOON, "body": "{}"}
    with pytest.raises(sa.exc.DBAPIError, match="does not follow"), engines["controller"].begin() as connection:
        connection.execute(events.EVENTS.insert().values(row | {"previous": "", "hash": stray.hash}))


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("controller", EventKind.TRANSITION),
        ("controller", EventKind.ROLLOUT_PROMOTED),  # its own kind, but in grace's name
        ("controller", EventKind.MONITOR_WINDOW),
        ("monitoring", EventKind.TRANSITION),
        ("monitoring", EventKind.ROLLOUT_PROMOTED),
        ("monitoring", EventKind.LOG_EXPIRED),
        ("reader", EventKind.TRANSITION),
        ("reader", EventKind.MONITOR_WINDOW),
    ],
)
def test_no_role_can_write_another_ones_events_or_in_anothers_name(
    engines: dict[str, sa.Engine], subject: str, role: str, kind: EventKind
) -> None:
    with (
        pytest.raises(sa.exc.DBAPIError, match=r"may not record|permission denied"),
        engines[role].begin() as connection,
    ):
        events.append(connection, kind, subject, "grace", {"to": "Production"})


def test_appends_from_many_threads_make_one_whole_chain(engines: dict[str, sa.Engine], subject: str) -> None:
    def append(number: int) -> None:
        with engines["controller"].begin() as connection:
            events.append(connection, EventKind.ROLLOUT_STEP, subject, "svc-controller", {"number": number})

    threads = [threading.Thread(target=append, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engines["reader"].connect() as connection:
        mine = events.read(connection, subject=subject)
        events.verify(events.read(connection))
    assert sorted(event.body["number"] for event in mine) == list(range(20))


def test_a_long_chain_is_read_in_pieces_and_verifies_as_a_stream(engines: dict[str, sa.Engine], subject: str) -> None:
    with engines["controller"].begin() as connection:
        made = [
            events.append(connection, EventKind.ROLLOUT_STEP, subject, "svc-controller", {"number": number})
            for number in range(5)
        ]
    with engines["reader"].connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        whole = events.read(connection)
        assert list(events.stream(connection, batch=3)) == whole
        events.verify(events.stream(connection, batch=2), events.read_head(connection))
        assert events.read_after(connection, made[0].seq, 2) == made[1:3]
        last = whole[-1]
        assert events.read_after(connection, last.seq, 10) == []
        events.verify(made[1:], start=Head(made[0].seq, made[0].hash))
        with pytest.raises(IntegrityError, match=f"event {made[1].seq} "):
            events.verify(made[2:], start=Head(made[0].seq, made[0].hash))


def test_only_the_watch_says_that_a_pointer_was_put_back(engines: dict[str, sa.Engine], subject: str) -> None:
    with (
        pytest.raises(sa.exc.DBAPIError, match="only svc-gates puts pointers back"),
        engines["server"].begin() as connection,
    ):
        events.append(connection, EventKind.POINTER_REVERTED, subject, "ada", {"to": "Production"})


def test_all_guards_of_a_running_stack_are_there(engines: dict[str, sa.Engine]) -> None:
    with engines["reader"].connect() as connection:
        assert events.unguarded(connection) == []
