import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.experiments.gathering import looks_of
from deploy.experiments.picture import Frame, picture, ticks
from deploy.experiments.report import Report, report_of
from deploy.experiments.units import units_of_table
from tests.deploy.experiments.worlds import plan, table


def report(looks: int) -> Report:
    wanted = plan()
    return report_of(wanted, looks_of(wanted, units_of_table(wanted, table(2000, 0.8), "units"), looks))


def test_later_is_to_the_right_and_more_is_above() -> None:
    frame = Frame(0, 10, -1, 1, 500, 300)
    assert frame.x(2) < frame.x(8)
    assert frame.y(0.5) < frame.y(-0.5)
    assert frame.y(5) == frame.y(1)


def test_the_line_ends_where_the_last_estimate_is() -> None:
    found = report(20)
    text = picture(found, 500, 300)
    line = re.findall(r'class="line arm0" points="([^"]+)"', text)[0].split()
    zero = float(re.findall(r'class="zero" [^>]*y1="([\d.]+)"', text)[0])
    x, y = map(float, line[-1].split(","))
    assert x == pytest.approx(490)
    assert (y < zero) == (found.judgement.arms[1].gain.estimate > 0)


def test_one_look_is_no_picture() -> None:
    assert picture(report(1), 500, 300) == ""


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_few_even_and_between_the_ends(low: float, span: float, count: int) -> None:
    found = ticks(low, low + span, count)
    assert len(found) <= count + 1
    assert all(low - span * 1e-6 <= value <= low + span * (1 + 1e-6) for value in found)
