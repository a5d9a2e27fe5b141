import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.experiments.sequence import Boundary

BOUNDARIES = st.builds(Boundary, st.floats(0.001, 0.4), st.floats(50, 1e7))


@given(BOUNDARIES, st.floats(2, 1e8))
def test_the_evidence_reaches_one_over_alpha_exactly_where_the_interval_ends(boundary: Boundary, count: float) -> None:
    reach = boundary.reach(count)
    assert boundary.log_evidence(reach, count) == pytest.approx(-math.log(boundary.alpha), rel=1e-9)
    assert boundary.log_evidence(reach * 0.99, count) < -math.log(boundary.alpha)


@given(BOUNDARIES, st.floats(0.02, 50))
def test_no_other_tuning_is_narrower_at_the_planned_units(boundary: Boundary, factor: float) -> None:
    other = Boundary(boundary.alpha, boundary.planned * factor)
    assert boundary.reach(boundary.planned) <= other.reach(boundary.planned) * (1 + 1e-12)


def test_the_reach_is_that_of_the_paper_written_out() -> None:
    boundary, count = Boundary(0.05, 1000), 2500
    squared = boundary.tuning
    wanted = math.sqrt(
        2 * (count * squared + 1) / (count**2 * squared) * math.log(math.sqrt(count * squared + 1) / boundary.alpha)
    ) * math.sqrt(count)
    assert boundary.reach(count) == pytest.approx(wanted)
    assert 2.9 < boundary.reach(1000) < 3.1  # against 1.96 for one look alone


@given(BOUNDARIES, st.floats(2, 1e8), st.floats(0, 30))
def test_the_evidence_grows_with_the_distance_alone(boundary: Boundary, count: float, distance: float) -> None:
    assert boundary.log_evidence(distance, count) == boundary.log_evidence(-distance, count)
    assert boundary.log_evidence(distance + 0.1, count) > boundary.log_evidence(distance, count)
