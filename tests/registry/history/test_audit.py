"""A chain that anybody touched: the first event that is not as it was is named, whatever was done."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import IntegrityError
from flywheel.events import GENESIS, Event, EventKind, Head, canonical, chained, from_row, verify

START = datetime(2026, 1, 1, tzinfo=UTC)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
bodies = st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=3)


@st.composite
def chains(draw: st.DrawFn) -> list[Event]:
    found: list[Event] = []
    for number in range(draw(st.integers(1, 8))):
        head = Head(found[-1].seq, found[-1].hash) if found else GENESIS
        kind, subject = draw(st.sampled_from(list(EventKind))), draw(texts)
        found.append(chained(head, kind, subject, draw(texts), draw(bodies), START + timedelta(seconds=number)))
    return found


def row(event: Event) -> Any:
    return {**vars(event), "body": canonical(event.body)}


def named(found: list[Event], head: Head | None = None) -> int:
    with pytest.raises(IntegrityError) as fault:
        verify(iter(found), head)
    said = re.search(r"event (\d+) ", str(fault.value))
    assert said is not None
    return int(said[1])


def end(found: list[Event]) -> Head:
    return Head(found[-1].seq, found[-1].hash)


@given(chains())
def test_an_untouched_chain_is_whole_and_reads_the_same_from_its_rows(found: list[Event]) -> None:
    assert [from_row(row(event)) for event in found] == found
    assert verify(iter(found), end(found)) == end(found)


@given(chains(), st.data())
def test_any_changed_field_is_named(found: list[Event], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(found) - 1))
    event = found[place]
    name = data.draw(st.sampled_from([field.name for field in fields(Event)]))
    values: dict[str, st.SearchStrategy[Any]] = {
        "seq": st.integers(-1, 20),
        "kind": st.sampled_from(list(EventKind)),
        "at": st.datetimes(timezones=st.just(UTC)),
        "body": bodies,
    }
    value = data.draw(values.get(name, texts))
    if value == getattr(event, name):
        return
    found[place] = replace(event, **{name: value})
    # Whoever changes the hash too is found at the event after it, or at the head.
    assert named(found, end(found) if name != "hash" else None) == place + 1


@given(chains(), st.data())
def test_a_body_written_otherwise_is_named_though_it_says_the_same(found: list[Event], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(found) - 1))
    text = data.draw(st.sampled_from([" {}", '{"a":1,"a":1}', "[]", "{", "null", '{"a": 1}', "NaN", "1e999"]))
    changed: Any = {**row(found[place]), "body": text}
    touched = from_row(changed)
    assert named([*found[:place], touched, *found[place + 1 :]]) == place + 1


@given(chains(), st.data())
def test_a_missing_event_is_named(found: list[Event], data: st.DataObject) -> None:
    place, head = data.draw(st.integers(0, len(found) - 1)), end(found)
    del found[place]
    assert named(found, head) == place + 1


@given(chains(), st.data())
def test_a_cut_chain_is_named_by_its_first_missing_event(found: list[Event], data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(found) - 1))
    assert named(found[:kept], end(found)) == kept + 1


@given(chains().filter(lambda found: len(found) > 1), st.data())
def test_the_first_of_two_swapped_events_is_named(found: list[Event], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(found) - 2))
    second = data.draw(st.integers(first + 1, len(found) - 1))
    head = end(found)
    found[first], found[second] = found[second], found[first]
    assert named(found, head) == first + 1


@given(chains(), st.data())
def test_an_inserted_event_is_named(found: list[Event], data: st.DataObject) -> None:
    place, head = data.draw(st.integers(0, len(found))), end(found)
    before = Head(found[place - 1].seq, found[place - 1].hash) if place else GENESIS
    forged = chained(before, EventKind.TRANSITION, "m/1", "mallory", {"to": "Production"}, START)
    found.insert(place, forged)
    # One that was made to fit is not to be told from the true one by itself: the next event, or the head, shows it.
    assert named(found, head) in {place + 1, place + 2}


@given(chains(), st.data())
def test_a_part_is_verified_from_where_it_begins(found: list[Event], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(found)))
    start = end(found[:begin]) if begin else GENESIS
    assert verify(iter(found[begin:]), end(found), start=start) == end(found)
    with pytest.raises(IntegrityError):
        verify(iter(found[begin:]), end(found), start=Head(start.seq, "0" * 64))
