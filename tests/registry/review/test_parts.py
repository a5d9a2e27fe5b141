"""What the page is made of: drawings, differences, scores and words, each pure."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.events import Event, EventKind
from flywheel.profile import DataProfile
from registry.review.bars import around_zero, side_by_side
from registry.review.code_changes import LONGEST, file_change
from registry.review.comparison import Measured
from registry.review.data_changes import Shift, column_changes, features, read_contract, read_data_profile, shifts
from registry.review.evaluation import parts, read_json, rivalry, verdict
from registry.review.formats import age, change, milliseconds, percent, setting, short, span
from registry.review.wording import WORDS, need, tell, tell_all

AT = datetime(2026, 1, 1, tzinfo=UTC)
FINITE = st.floats(-1e9, 1e9)
TEXT = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=30)


def event(kind: EventKind, seq: int = 1, actor: str = "grace", **body: object) -> Event:
    return Event(seq, kind, "m/1", actor, AT, body, "", "")


@given(FINITE, FINITE, FINITE)
def test_every_place_lies_on_the_drawing(one: float, two: float, three: float) -> None:
    low, value, high = sorted((one, two, three))
    for bar in (around_zero(Measured(value, low, high)), *side_by_side([Measured(value, low, high), Measured(low)])):
        assert bar is not None
        assert 0 <= bar.low <= bar.value <= bar.high <= 100
    bar = around_zero(Measured(value, low, high))
    assert (bar.value < 50) <= (value < 0)


@given(TEXT, TEXT)
def test_a_difference_counts_the_lines_it_shows(before: list[str], after: list[str]) -> None:
    found = file_change("f", "\n".join(before).encode(), "\n".join(after).encode())
    if found is None:
        assert before == after or "\n".join(before) == "\n".join(after)
        return
    assert found.added == sum(line.kind == "added" for line in found.lines)
    assert found.removed == sum(line.kind == "removed" for line in found.lines)


def test_a_long_difference_is_cut_and_says_by_how_much() -> None:
    found = file_change("f", b"", b"x\n" * 1000)
    assert found is not None
    assert (len(found.lines), found.cut, found.added) == (LONGEST, 1001 - LONGEST, 1000)


def test_files_that_are_the_same_or_on_neither_side_do_not_differ() -> None:
    assert file_change("f", b"x", b"x") is None
    assert file_change("f", None, None) is None


def profile(
    categories: dict[str, float] | None = None, quantiles: list[float] | None = None, missing: float = 0.0
) -> DataProfile:
    day = {"mean": 0.0}
    column = {
        "name": "c",
        "type": "string" if categories else "double",
        "missing_share": missing,
        "quantiles": quantiles or [],
        "categories": categories or {},
        "missing": day,
    }
    span = {"start": "2026-01-01", "end": "2026-01-02"}
    told = {"rows": 9, "days": 2, "rows_per_day": day, "columns": [column], **span}
    found = read_data_profile(json.dumps(told).encode())
    assert found is not None
    return found


def moved(ours: DataProfile, theirs: DataProfile) -> Shift:
    (found,) = shifts(ours, theirs)
    return found


def test_a_shift_of_shares_is_half_the_sum_of_their_changes() -> None:
    found = moved(profile({"a": 0.7, "b": 0.3}), profile({"a": 0.4, "b": 0.4, "c": 0.2}))
    assert found.size == pytest.approx(0.3)
    assert found.word == "large"
    assert found.shares[0] == ("a", 0.4, 0.7)


def test_a_shift_of_numbers_is_in_units_of_the_champions_range() -> None:
    theirs = [float(place) for place in range(101)]
    found = moved(profile(quantiles=[place + 14.7 for place in theirs]), profile(quantiles=theirs))
    assert found.size == pytest.approx(0.15)
    assert found.word == "moderate"
    assert moved(profile(quantiles=theirs, missing=0.5), profile(quantiles=theirs)).size == 0.5


@given(st.lists(FINITE, min_size=101, max_size=101), st.lists(FINITE, min_size=101, max_size=101))
def test_a_shift_is_a_share_and_none_to_itself(ours: list[float], theirs: list[float]) -> None:
    one, two = profile(quantiles=sorted(ours)), profile(quantiles=sorted(theirs))
    assert 0 <= moved(one, two).size <= 1
    assert moved(one, one).size == 0


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"slices": 3, "champion": []}'])
def test_a_damaged_document_is_as_good_as_none(damaged: bytes) -> None:
    assert parts(read_json(damaged), {}) == []
    assert rivalry(read_json(damaged)) is None
    assert read_contract(damaged) is None
    assert read_data_profile(damaged) is None
    assert features(damaged) == []


def test_columns_that_came_went_and_changed_are_named() -> None:
    def contract(**types: str) -> bytes:
        columns = [{"name": "at", "type": "datetime", "nullable": False}]
        columns += [{"name": name, "type": kind, "nullable": True} for name, kind in types.items()]
        return json.dumps({"columns": columns, "event_time": "at", "entity": None}).encode()

    ours, theirs = read_contract(contract(a="double", b="string")), read_contract(contract(a="long", c="double"))
    assert ours is not None
    assert theirs is not None
    assert {(one.name, one.what) for one in column_changes(ours, theirs)} == {
        ("b", "added"),
        ("c", "removed"),
        ("a", "changed"),
    }


@pytest.mark.parametrize(
    ("low", "high", "less", "word"),
    [
        (-2, -1, True, "better"),
        (-2, -1, False, "worse"),
        (1, 2, True, "worse"),
        (1, 2, False, "better"),
        (-1, 1, True, "undecided"),
        (0, 1, False, "undecided"),
        (1, 2, None, ""),
    ],
)
def test_only_an_interval_without_zero_is_better_or_worse(
    low: float, high: float, less: bool | None, word: str
) -> None:
    assert verdict(Measured((low + high) / 2, low, high), less) == word


def test_every_kind_of_event_has_words_that_are_not_its_name() -> None:
    for kind in EventKind:
        assert kind in WORDS
        told = tell(event(kind))
        assert "recorded" not in told.what


def test_a_run_of_gates_is_one_line_with_what_each_said() -> None:
    measured = [
        event(EventKind.GATE_MEASURED, seq, "svc-gates", gate=f"g{seq}", outcome=outcome)
        for seq, outcome in enumerate(("pass", "fail", "could_not_run"), start=2)
    ]
    told = tell_all(
        [event(EventKind.VERSION_CREATED, 1), *measured, event(EventKind.REVIEW_COMMENTED, 5, comment="Hm.")]
    )
    assert [one.what for one in told] == [
        "commented",
        "measured 3 gates: 1 passed, 1 failed, 1 could not run",
        "registered it",
    ]
    assert [part.what for part in told[1].parts] == [
        "measured: gate g2 passes",
        "measured: gate g3 fails",
        "measured: gate g4 could not run",
    ]
    assert (told[0].more, told[1].tone) == ("Hm.", "bad")


@pytest.mark.parametrize(
    ("length", "words"), [(30, "less than a minute"), (60, "1 minute"), (7200, "2 hours"), (86400 * 30, "30 days")]
)
def test_lengths_of_time_are_told_in_their_largest_unit(length: int, words: str) -> None:
    assert span(timedelta(seconds=length)) == words
    assert age(timedelta(seconds=length)) == ("just now" if length < 60 else f"{words} ago")


def test_numbers_are_written_for_people() -> None:
    assert (change(Measured(-0.5)), change(None), change(2.0)) == ("−0.5000", "–", "+2")
    assert (percent(0.0312), percent(0.5), percent(0.0)) == ("3.1 %", "50 %", "0 %")
    assert (setting("''"), setting(None), setting("0.031893681"), setting("deep")) == (
        "(empty)",
        "–",
        "0.0318937",
        "deep",
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(2e3, "2,000"), (2048.4, "2,048"), (25, "25"), (11.84, "11.8"), (-0.5, "−0.5"), (1e-5, "0.00001"), (0, "0")],
)
def test_numbers_in_three_digits_have_no_exponent(number: float, words: str) -> None:
    assert short(number) == words


@given(st.floats(-1e15, 1e15).filter(lambda value: value == 0 or abs(value) > 1e-9))
def test_a_number_in_three_digits_is_the_number_to_half_a_percent(number: float) -> None:
    told = short(number)
    assert "e" not in told
    assert float(told.replace("−", "-").replace(",", "")) == pytest.approx(number, rel=0.005)


def test_thresholds_below_a_second_are_written_in_milliseconds() -> None:
    told = "3 of 9 requests took over 0.003 s, 1 over 0.25 s and 0 over 1.2 s; version 2 is over 5."
    assert milliseconds(told) == "3 of 9 requests took over 3 ms, 1 over 250 ms and 0 over 1.2 s; version 2 is over 5."


def test_a_column_that_did_not_move_has_no_small_shift() -> None:
    theirs = [float(place) for place in range(101)]
    same, near = (
        moved(profile(quantiles=[place + gap for place in theirs]), profile(quantiles=theirs)) for gap in (0, 1)
    )
    assert (same.size, same.word, near.word) == (0, "none", "small")


def test_needs_are_named_for_people() -> None:
    assert (need("gate:latency_p99"), need("contributors"), need("new_one")) == (
        "Gate: latency p99",
        "Four eyes",
        "New one",
    )
