"""What is read of the trail: the same states, however little of it is read."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from flywheel import events
from flywheel.events import Event, EventKind
from flywheel.settings import Settings
from registry.rollouts import trail
from registry.rollouts.record import Record, records
from tests.deploy.simulated import FLIGHTS
from tests.registry.own_database import own_database
from tests.registry.rollouts.worlds import chain


def state(record: Record) -> tuple[object, ...]:
    known = (record.phase, record.step, record.percent, record.confirmed, record.paused, record.allowed)
    return (record.name, *known, record.cause, record.reason, record.gone, record.ended, record.plan)


def written(connection: sa.Connection, one: Event) -> None:
    events.append(connection, one.kind, one.subject, one.actor, one.body, one.at)


@pytest.mark.parametrize("rate", [0.005, 0.03])
def test_after_every_event_the_list_and_the_page_tell_what_all_events_tell(
    stack: Settings, tmp_path: Path, rate: float
) -> None:
    found = chain(tmp_path, rate=rate, seed=3)
    with own_database(stack) as engine:
        for end, one in enumerate(found, start=1):
            with engine.begin() as connection:
                written(connection, one)
            whole = records(found[:end])
            with engine.connect() as connection:
                assert [state(record) for record in trail.newest(connection, FLIGHTS)] == list(map(state, whole))
                current, last = trail.current(connection, FLIGHTS), whole[-1]
                assert (current and state(current)) == (state(last) if last.is_under_way else None)
                assert trail.count(connection, FLIGHTS) == len(whole)
                page = trail.one(connection, FLIGHTS, last.name)
                assert page is not None
                assert state(page) == state(last)
                assert len(page.moments) == len(last.moments)


def test_looks_are_never_read_and_curves_only_for_a_page(stack: Settings, tmp_path: Path) -> None:
    found = chain(tmp_path, rate=0.03, seed=3)
    with own_database(stack) as engine, engine.begin() as connection:
        for one in found:
            written(connection, one)
        (*_, listed), page = trail.newest(connection, FLIGHTS), trail.one(connection, FLIGHTS, records(found)[-1].name)
        assert page is not None
        assert any("trace" in moment.event.body for moment in page.moments)
        assert not any("trace" in moment.event.body for moment in listed.moments)
        assert not any("looks" in one.event.body for record in (listed, page) for one in record.moments)


def test_a_use_case_that_was_taken_out_of_service_has_nothing_under_way(stack: Settings, tmp_path: Path) -> None:
    found = chain(tmp_path, seconds=120)
    with own_database(stack) as engine, engine.begin() as connection:
        for one in found:
            written(connection, one)
        before = trail.current(connection, FLIGHTS)
        body = {"version": "1", "reason": "gone"}
        events.append(connection, EventKind.ROLLOUT_UNDEPLOYED, f"{FLIGHTS}/1", "svc-controller", body)
        assert (before is not None, trail.current(connection, FLIGHTS)) == (True, None)
        name = records(found)[-1].name
        page = trail.one(connection, FLIGHTS, name)
        assert page is not None
        assert page.gone
        assert trail.one(connection, FLIGHTS, "another") is None
        assert trail.newest(connection, FLIGHTS[:-1]) == []


def test_only_the_newest_are_read_and_an_older_ones_late_event_is_no_fault(stack: Settings, tmp_path: Path) -> None:
    found = chain(tmp_path)
    with own_database(stack) as engine, engine.begin() as connection:
        for one in found:
            written(connection, one)
        first, last = records(found)
        late = {"rollout": first.name, "state": "done", "reason": "It turned bad.", "cause": "verdict"}
        events.append(connection, EventKind.ROLLOUT_ROLLED_BACK, f"{FLIGHTS}/1", "svc-controller", late)
        assert [one.name for one in trail.newest(connection, FLIGHTS, 1)] == [last.name]
        assert [one.name for one in trail.newest(connection, FLIGHTS, 2)] == [first.name, last.name]
