from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.events import EventKind
from registry.review.waiting import PAGE_SIZE, Case, Docket, Entry, Row, fits, leaf, read_wish, waiting

SAID = st.tuples(
    st.sampled_from(
        [
            EventKind.VERSION_CREATED,
            EventKind.GATE_MEASURED,
            EventKind.REVIEW_APPROVED,
            EventKind.REVIEW_REJECTED,
            EventKind.REVIEW_CHANGES_REQUESTED,
            EventKind.REVIEW_WITHDRAWN,
        ]
    ),
    st.sampled_from(["a/1", "a/2"]),
    st.sampled_from(["grace", "alan"]),
    st.sampled_from(["pass", "fail"]),
)


def rows(said: list[tuple[EventKind, str, str, str]]) -> list[Row]:
    return [
        Row(seq, kind, subject, actor, "size" if kind == EventKind.GATE_MEASURED else None, outcome)
        for seq, (kind, subject, actor, outcome) in enumerate(said, start=1)
    ]


def entry(number: int = 1, stage: str = "None") -> Entry:
    return Entry("Weather", number, stage, datetime(2026, 1, 1, tzinfo=UTC))


@given(st.lists(SAID), st.integers(0, 20), st.integers(0, 20))
def test_a_docket_read_in_parts_even_twice_is_the_one_read_at_once(
    said: list[tuple[EventKind, str, str, str]], first: int, second: int
) -> None:
    whole, parts = Docket(), Docket()
    whole.take(rows(said))
    for end in (first, second, len(said)):
        parts.take(rows(said)[:end])
    assert parts.cases == whole.cases


@given(st.lists(SAID))
def test_only_the_last_word_of_each_counts(said: list[tuple[EventKind, str, str, str]]) -> None:
    docket = Docket()
    docket.take(rows(said))
    for subject, case in docket.cases.items():
        since = [row for row in rows(said) if row.subject == subject]
        born = max((row.seq for row in since if row.kind == EventKind.VERSION_CREATED), default=0)
        since = [row for row in since if row.seq > born]
        gates = [row.outcome for row in since if row.kind == EventKind.GATE_MEASURED]
        assert list(case.gates.values()) == gates[-1:]
        words = {row.actor: row.kind for row in since if row.kind != EventKind.GATE_MEASURED}
        assert case.approvals == list(words.values()).count(EventKind.REVIEW_APPROVED)


@pytest.mark.parametrize(
    ("case", "lacks"),
    [
        (Case("ada"), ("unmeasured", "review")),
        (Case("ada", {"size": "pass", "card": "pass"}), ("review",)),
        (Case("ada", {"size": "fail", "card": "pass"}, {"grace": "approved"}), ("failing",)),
        (Case("ada", {"size": "could_not_run", "card": "pass"}, {"grace": "approved"}), ("unmeasured",)),
        (
            Case("ada", {"size": "pass", "card": "pass"}, {"grace": "changes", "alan": "rejected"}),
            ("rejected", "changes"),
        ),
        (Case("ada", {"size": "pass", "card": "pass"}, {"grace": "approved"}), ()),
    ],
)
def test_a_version_lacks_what_was_not_measured_fails_or_was_objected_to(case: Case, lacks: tuple[str, ...]) -> None:
    assert waiting(entry(), case, ("size", "card")).lacks == lacks


@given(st.integers(0, 200), st.integers(1, 10))
def test_pages_together_are_the_list(count: int, asked: int) -> None:
    found = list(range(count))
    pages = leaf(found, 1).pages
    assert [row for page in range(1, pages + 1) for row in leaf(found, page).rows] == found
    assert len(leaf(found, asked).rows) <= PAGE_SIZE
    assert leaf(found, asked).page <= pages


def test_a_model_is_found_by_a_part_of_its_name_in_any_case() -> None:
    assert fits(entry(), read_wish({"model": " weaTHER ", "stage": "None"}))
    assert not fits(entry(), read_wish({"model": "rain"}))
    assert not fits(entry(stage="Staging"), read_wish({"stage": "None"}))
