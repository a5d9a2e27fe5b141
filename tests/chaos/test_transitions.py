"""The short form of `transitions`: the controller dies at every n-th point of each way."""

from pathlib import Path

import pytest

from flywheel.settings import Settings
from tests.chaos.transitions import PROMOTION, SUPERSESSION, VERDICT, Way, run


@pytest.mark.parametrize(
    ("way", "every"), [(PROMOTION, 17), (VERDICT, 13), (SUPERSESSION, 17)], ids=lambda value: getattr(value, "name", "")
)
def test_a_controller_that_dies_around_what_it_changes_ends_as_one_that_lives_and_no_request_fails(
    stack: Settings, tmp_path: Path, way: Way, every: int
) -> None:
    report = run(stack, tmp_path, ways=(way,), every=every)
    assert report.broken == []
    assert report.failed == 0
    assert report.done == report.wanted >= 2
