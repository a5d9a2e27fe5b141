"""How losses are written: nats to four decimals, squares of any unit to four digits."""

import pytest

from monitoring.performance.measure import LOG_LOSS, SQUARED_ERROR, Measure


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        (LOG_LOSS, 0.61086, "0.6109"),
        (LOG_LOSS, 0.00001, "0.0000"),
        (SQUARED_ERROR, 1234567.8, "1,234,568"),
        (SQUARED_ERROR, 12.3456, "12.35"),
        (SQUARED_ERROR, 0.000123456, "0.0001235"),
        (SQUARED_ERROR, 0.0, "0"),
    ],
)
def test_a_loss_is_written_with_as_many_digits_as_say_something(measure: Measure, value: float, text: str) -> None:
    assert measure.text(value) == text
    assert measure.text(value, sign=True) == f"+{text}"


def test_a_margin_is_nats_for_classes_and_a_share_of_the_reference_for_numbers() -> None:
    assert LOG_LOSS.tolerated(0.02, 0.6) == 0.02
    assert SQUARED_ERROR.tolerated(0.02, 400.0) == pytest.approx(8.0)
