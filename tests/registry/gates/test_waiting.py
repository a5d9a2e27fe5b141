"""What waits is a fold of events: nothing that was asked is forgotten, nothing is measured twice for one question."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from flywheel.events import Event, EventKind
from registry.gates.waiting import Waiting, waiting

REQUIRED = ("size", "card", "skew")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def trail(*said: tuple[EventKind, dict[str, object]]) -> list[Event]:
    return [Event(seq, kind, "churn/1", "x", NOW, body, "", "") for seq, (kind, body) in enumerate(said, start=1)]


def measured(gate: str, asked: int, remaining: int) -> tuple[EventKind, dict[str, object]]:
    return EventKind.GATE_MEASURED, {"gate": gate, "asked": asked, "remaining": remaining}


CREATED: tuple[EventKind, dict[str, object]] = (EventKind.VERSION_CREATED, {})


def asked(*gates: str) -> tuple[EventKind, dict[str, object]]:
    return EventKind.GATES_REQUESTED, {"gates": list(gates)}


def test_a_new_version_waits_for_every_gate() -> None:
    assert waiting(trail(CREATED)).left(REQUIRED) == REQUIRED


def test_after_a_crash_the_rest_is_left() -> None:
    found = waiting(trail(CREATED, measured("size", 1, 2), measured("skew", 1, 1)))
    assert found.left(REQUIRED) == ("card",)


def test_a_finished_job_leaves_nothing_even_when_more_gates_are_required_later() -> None:
    found = waiting(trail(CREATED, measured("size", 1, 1), measured("card", 1, 0)))
    assert found == Waiting()
    assert found.left(REQUIRED) == ()


def test_a_question_that_came_while_a_job_ran_is_answered_after_it() -> None:
    found = waiting(trail(CREATED, measured("size", 1, 1), asked("size"), measured("card", 1, 0)))
    assert found.left(REQUIRED) == ("size",)


def test_asking_for_a_gate_by_name_measures_it_alone_also_when_nothing_requires_it() -> None:
    assert waiting(trail(CREATED, measured("size", 1, 0), asked("onnx"))).left(REQUIRED) == ("onnx",)


def test_evidence_of_another_release_answers_no_question() -> None:
    old: tuple[EventKind, dict[str, object]] = (EventKind.GATE_MEASURED, {"gate": "size"})
    assert waiting(trail(CREATED, old)).left(REQUIRED) == REQUIRED


def test_files_are_fetched_only_where_somebody_may_want_a_gate() -> None:
    none: tuple[EventKind, dict[str, object]] = (EventKind.VERSION_CREATED, {"origin": {"gates": []}})
    some: tuple[EventKind, dict[str, object]] = (EventKind.VERSION_CREATED, {"origin": {"gates": ["onnx"]}})
    assert waiting(trail(none)).is_void(())
    assert not waiting(trail(none)).is_void(("size",))
    assert not waiting(trail(none, asked("size"))).is_void(())
    assert not waiting(trail(some)).is_void(())
    assert not waiting(trail(CREATED)).is_void(())  # registered by a release that did not say
    assert waiting([]).is_void(("size",))


questions = st.lists(st.sampled_from([(), ("size",), ("onnx", "card")]), min_size=1, max_size=5)


@given(questions, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=6))
def test_whatever_is_asked_and_however_often_it_crashes_each_question_is_answered_once(
    asks: list[tuple[str, ...]], runs: Sequence[tuple[int, int]]
) -> None:
    """Questions come one by one; a job measures some of what is left, and dies or goes on."""
    said = [CREATED]
    pending = list(asks)
    for steps, more in [*runs, (99, 99)]:
        said += [asked(*gates) for gates in pending[:more]]
        pending = pending[more:]
        open_questions = waiting(trail(*said))
        left = list(open_questions.left(REQUIRED))
        upto, last = open_questions.upto, len(left) - 1
        said += [measured(gate, upto, last - place) for place, gate in enumerate(left[:steps])]
    assert waiting(trail(*said)).left(REQUIRED) == ()
    answers = [(body["gate"], body["asked"]) for kind, body in said if kind == EventKind.GATE_MEASURED]
    assert len(set(answers)) == len(answers)
    assert {gate for gate, _ in answers} >= {*REQUIRED, *(gate for gates in asks for gate in gates)}
