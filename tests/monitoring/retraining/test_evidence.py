"""Evidence as it is read from events."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel.events import Event, EventKind
from monitoring.retraining.evidence import LONGEST_TRAINING, Attempt, End, Evidence, attempts_of, windows_of

START = datetime(2013, 5, 2)
CLOCK = datetime(2026, 1, 1, tzinfo=UTC)


def event(kind: EventKind, at: datetime = CLOCK, **body: Any) -> Event:
    return Event(1, kind, "flights", "svc-monitoring", at, body, "", "")


def started(as_of: datetime, at: datetime = CLOCK) -> Event:
    return event(EventKind.RETRAIN_STARTED, at, as_of=as_of.isoformat())


def finished(as_of: datetime, outcome: str) -> Event:
    return event(EventKind.RETRAIN_FINISHED, as_of=as_of.isoformat(), outcome=outcome)


def window(day: int, verdict: str, known: int) -> Event:
    start = START + timedelta(days=day)
    return event(
        EventKind.MONITOR_WINDOW,
        start=start.isoformat(),
        end=(start + timedelta(days=7)).isoformat(),
        as_of=(START + timedelta(days=known)).isoformat(),
        verdict=verdict,
        loss=0.5,
        difference_low=None,
    )


def test_each_start_has_the_end_that_names_its_time() -> None:
    later = START + timedelta(days=30)
    events = [started(START), finished(START, "failed"), started(later), finished(later, "registered")]
    assert [one.end for one in attempts_of(events, CLOCK)] == [End.FAILED, End.REGISTERED]


def test_a_refusal_keeps_its_reason_and_events_of_earlier_releases_have_none() -> None:
    refused = event(EventKind.RETRAIN_FINISHED, as_of=START.isoformat(), outcome="refused", reason="Another commit.")
    assert attempts_of([started(START), refused], CLOCK) == (Attempt(START, End.REFUSED, "Another commit."),)
    read = Evidence(START, attempts=(Attempt(START, End.FAILED),)).body()
    del read["attempts"][0]["reason"]
    assert Evidence.from_body(read).attempts == (Attempt(START, End.FAILED),)


def test_a_second_start_of_the_same_time_has_its_own_end() -> None:
    events = [started(START), finished(START, "failed"), started(START)]
    assert [one.end for one in attempts_of(events, CLOCK)] == [End.FAILED, End.RUNNING]


def test_a_start_that_says_nothing_runs_until_its_time_is_up() -> None:
    events = [started(START)]
    assert [one.end for one in attempts_of(events, CLOCK + LONGEST_TRAINING)] == [End.RUNNING]
    assert [one.end for one in attempts_of(events, CLOCK + LONGEST_TRAINING + timedelta(seconds=1))] == [End.DIED]


def test_of_a_span_judged_twice_the_last_look_counts_and_nothing_known_later() -> None:
    events = [window(7, "harm", 15), window(0, "quiet", 8), window(0, "harm", 30)]
    early = windows_of(events, START + timedelta(days=20))
    assert [(one.verdict, one.start) for one in early] == [("quiet", START), ("harm", START + timedelta(days=7))]
    assert [one.verdict for one in windows_of(events, START + timedelta(days=30))] == ["harm", "harm"]
    assert windows_of(events, START) == ()
