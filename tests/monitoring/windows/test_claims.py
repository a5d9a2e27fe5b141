from datetime import timedelta

import polars as pl
import pyarrow as pa

from flywheel.records import LOGGED_OUTCOMES
from monitoring.windows.claims import Claims, claims_of
from tests.monitoring.windows.block_log import AT, Row, outcome

HOUR = timedelta(hours=1)
ANSWERS = pl.DataFrame(
    {
        "prediction_id": ["p1", "p2", "p3"],
        "entity": ["e1", "e1", None],
        "event_time": [AT, AT + HOUR, AT],
    }
)


def counted(*reports: Row) -> Claims:
    frame = pl.from_arrow(pa.Table.from_pylist(list(reports), LOGGED_OUTCOMES))
    assert isinstance(frame, pl.DataFrame)
    return claims_of(frame, ANSWERS)


def test_a_report_in_order_counts_as_nothing_else() -> None:
    reports = [
        outcome(1.0, AT, entity="e1"),
        outcome(0.0, AT + 2 * HOUR, entity="e1"),
        outcome(1.0, AT, prediction_id="p3"),
    ]
    assert counted(*reports) == Claims(reports=3)
    assert counted() == Claims()


def test_reports_of_nobody_and_of_before_the_prediction_are_counted() -> None:
    found = counted(
        outcome(1.0, AT, entity="stranger"),
        outcome(1.0, AT, prediction_id="p9"),
        outcome(1.0, AT - HOUR, entity="e1"),
        outcome(1.0, AT, prediction_id="p2"),
    )
    assert found == Claims(reports=4, unknown=2, before=2)


def test_repeated_corrected_and_contradictory_reports_are_told_apart() -> None:
    known = AT + 2 * HOUR
    found = counted(
        outcome(1.0, AT, known, entity="e1"),
        outcome(1.0, AT, known + HOUR, entity="e1"),
        outcome(0.0, AT, known + 2 * HOUR, entity="e1"),
        outcome(1.0, AT, known + 2 * HOUR, entity="e1"),
    )
    assert found == Claims(reports=4, repeated=1, corrected=1, contradictory=1)


def test_a_clock_that_is_ahead_of_the_log_is_counted() -> None:
    ahead = outcome(1.0, AT, AT + 3 * HOUR, entity="e1", recorded_time=AT + 2 * HOUR)
    within = outcome(1.0, AT + HOUR, AT + 3 * HOUR, entity="e1", recorded_time=AT + 3 * HOUR - timedelta(seconds=30))
    backwards = outcome(1.0, AT, AT - HOUR, prediction_id="p3", recorded_time=AT)
    assert counted(ahead, within, backwards) == Claims(reports=3, skewed=2)
