"""A window holds what clients got in its span, with the outcomes known by as_of, and counts the rest."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flywheel.errors import UsageError
from flywheel.storage import PredictionLog
from flywheel.usecase import parse_usecase
from monitoring.windows.counting import counts_by_key
from monitoring.windows.keys import Key
from monitoring.windows.window import Counts, Span, Window, read_window
from tests.monitoring.flights_log import Flight, write_log
from tests.monitoring.flights_package import USE_CASE

START, END = datetime(2013, 4, 1), datetime(2013, 5, 1)
DAY = timedelta(days=1)
FLIGHTS = parse_usecase(USE_CASE, "here")  # outcomes are due after a day
CLASSES = parse_usecase(USE_CASE | {"task": "multiclass"}, "here")


def read(root: Path, flights: list[Flight], as_of: datetime) -> Window:
    return read_window(write_log(root, flights), FLIGHTS, Span(START, END, as_of))


def test_each_answered_prediction_is_there_once_with_its_outcome(tmp_path: Path) -> None:
    flights = [
        Flight("first", START, outcome=1.0),
        Flight("retried", START + DAY, attempts=3),
        Flight("refused", START + 2 * DAY, code=503),
    ]
    window = read(tmp_path, flights, END + DAY)
    assert window.rows["entity"].to_list() == ["first", "retried"]
    assert window.rows["attempt"].to_list() == [1, 3]
    assert window.labelled["outcome"].to_list() == [1.0, 0.0]
    assert window.counts == Counts(records=5, answered=2, labelled=2, pending=0, censored=0)


def test_the_span_is_in_event_time_start_included_and_end_excluded(tmp_path: Path) -> None:
    second = timedelta(seconds=1)
    flights = [Flight("before", START - second), Flight("at start", START), Flight("last", END - second)]
    window = read(tmp_path, [*flights, Flight("at end", END)], END + 3 * DAY)
    assert window.rows["entity"].to_list() == ["at start", "last"]


def test_outcomes_known_after_as_of_are_pending_and_never_known_ones_are_censored(tmp_path: Path) -> None:
    flights = [
        Flight("known", START),
        Flight("cancelled", START, outcome=None),
        Flight("not yet", END - timedelta(hours=2)),
    ]
    window = read(tmp_path, flights, END)
    assert window.labelled["entity"].to_list() == ["known"]
    assert window.counts == Counts(records=3, answered=3, labelled=1, pending=1, censored=1)


def test_an_outcome_belongs_to_the_last_prediction_of_its_entity_even_past_the_window(tmp_path: Path) -> None:
    asked_again = [Flight("a", END - DAY, outcome=None), Flight("a", END + DAY), Flight("b", END - DAY)]
    window = read(tmp_path, asked_again, END + 3 * DAY)
    assert window.rows["entity"].to_list() == ["a", "b"]
    assert window.labelled["entity"].to_list() == ["b"]


def test_a_use_case_that_nobody_asked_has_an_empty_window(tmp_path: Path) -> None:
    window = read_window(PredictionLog(tmp_path), FLIGHTS, Span(START, END, END))
    assert window.rows.is_empty()
    assert window.counts == Counts(0, 0, 0, 0, 0)


def test_what_the_declared_default_answered_is_no_prediction_of_a_model(tmp_path: Path) -> None:
    flights = [
        Flight("first", START, outcome=None),
        Flight("first", START + DAY, version="default", outcome=1.0),
        Flight("second", START, outcome=1.0),
    ]
    window = read(tmp_path, flights, END + DAY)
    assert window.rows.select("entity", "model_version", "outcome").rows() == [
        ("first", "1", None),
        ("second", "1", 1.0),
    ]
    assert window.counts == Counts(records=3, answered=2, labelled=1, pending=0, censored=1)


def test_outcomes_of_classes_are_their_names_and_a_number_is_none(tmp_path: Path) -> None:
    flights = [Flight("a", START, outcome="rain"), Flight("b", START, outcome=1.0), Flight("c", START, outcome=None)]
    log = write_log(tmp_path, flights)
    span = Span(START, END, END)
    window = read_window(log, CLASSES, span)
    assert dict(window.rows.select("entity", "outcome").rows()) == {"a": "rain", "b": None, "c": None}
    assert (window.counts.labelled, window.counts.censored) == (1, 2)
    assert read_window(log, FLIGHTS, span).labelled["outcome"].to_list() == [1.0]


@pytest.mark.parametrize(
    ("start", "end", "as_of", "sentence"),
    [(END, START, END, "not after its start"), (START, START, END, "not after"), (START, END, START, "--as-of")],
)
def test_a_span_that_cannot_be_is_refused(start: datetime, end: datetime, as_of: datetime, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Span(start, end, as_of)


def test_a_window_by_time_known_holds_what_was_learned_in_it(tmp_path: Path) -> None:
    flights = [Flight("early", START - DAY), Flight("late", END - DAY / 2), Flight("never", START, outcome=None)]
    log = write_log(tmp_path, [*flights, Flight("within", START + DAY)])
    window = read_window(log, FLIGHTS, Span(START, END, END + 3 * DAY), by="known")
    assert window.rows["entity"].to_list() == ["early", "within"]
    assert window.counts == Counts(records=2, answered=2, labelled=2, pending=0, censored=0)


def test_what_is_known_of_answers_is_counted_by_version_and_arm(tmp_path: Path) -> None:
    flights = [
        Flight("a", START),
        Flight("b", START, version="2"),
        Flight("c", START, version="2", outcome=None),
        Flight("d", END - DAY / 4, outcome=None),
    ]
    counted = counts_by_key(read(tmp_path, flights, END), DAY)
    assert counted == {
        Key("1", "champion"): Counts(records=2, answered=2, labelled=1, pending=1, censored=0),
        Key("2", "champion"): Counts(records=2, answered=2, labelled=1, pending=0, censored=1),
    }
