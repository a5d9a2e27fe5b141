from typing import Any

import pytest

from deploy.experiments.differences import NOTHING_KNOWN, Difference
from deploy.experiments.readings import Reading
from deploy.experiments.returns import HOURS_A_MONTH, Money, returned
from deploy.experiments.words import money_lines
from flywheel.errors import UsageError
from tests.deploy.experiments.worlds import plan

GAIN = Difference(0.3, 0.05, 0.1, 0.5, 5.0)
WORTH: dict[str, Any] = {
    "units_per_month": 10_000,
    "worth": 2.0,
    "serving": {"replicas": 3, "per_hour": 0.2},
    "training": {"runs_per_month": 4, "per_run": 25},
    "once": 5000,
}


def money(gain: Difference = GAIN, **parts: Any) -> Money:
    return returned(plan(**{"return": WORTH | parts}), Reading("challenger", 900, 900, 14.0, gain))


def test_the_return_is_gain_times_volume_less_serving_and_training() -> None:
    found = money()
    cost = 3 * 0.2 * HOURS_A_MONTH + 4 * 25
    assert found.gain == pytest.approx((6000, 2000, 10_000))
    assert found.cost == pytest.approx(cost)
    assert found.net == pytest.approx((6000 - cost, 2000 - cost, 10_000 - cost))


def test_what_was_spent_once_is_paid_back_by_the_return() -> None:
    found = money()
    assert found.months == pytest.approx(tuple(5000 / net for net in (found.net[0], found.net[2], found.net[1])))
    assert money(once=0).months == (0, 0, 0)


def test_what_returns_nothing_is_never_paid_back() -> None:
    found = money(Difference(0.02, 0.05, -0.2, 0.3, 0.0))
    assert found.months[0] is None
    assert found.months[1] is not None
    assert found.months[2] is None


def test_how_long_it_takes_to_pay_back_is_one_sentence() -> None:
    assert money_lines(money(Difference(-0.2, 0.05, -0.3, -0.1, 0.0)))[-1] == "5,000 EUR are never paid back"
    assert money_lines(money())[-1].startswith("5,000 EUR are paid back in 0.")
    assert money_lines(money(Difference(0.02, 0.05, -0.2, 0.3, 0.0)))[-1].startswith("5,000 EUR are not paid back (")


def test_costs_that_are_not_named_are_those_of_the_control() -> None:
    assert money(serving=None, training=None).cost == 0


def test_without_a_section_or_a_gain_there_is_no_return() -> None:
    with pytest.raises(UsageError, match="return is missing"):
        returned(plan(), Reading("challenger", 900, 900, 14.0, GAIN))
    with pytest.raises(UsageError, match="is not known yet"):
        money(NOTHING_KNOWN)
