"""A stream that moved rests for four weeks, and then stands at the level that those weeks show."""

import numpy as np
import pytest

from monitoring.drift.evidence import Strongest
from monitoring.drift.relearning import BLOCKS, Relearning
from monitoring.drift.tails import Looked

LASTING = 0.5


def begun(effect: float) -> Relearning:
    moved = Relearning.of(2)
    found = (np.zeros(2), np.full(2, effect), np.full(2, 0.5), np.full(2, 3.0))
    moved.begin([1], Strongest(*found))
    return moved


def looked(shift: float, noise: float) -> Looked:
    surprises = np.full((2, 2), LASTING * shift + noise)
    return Looked(np.zeros((2, 2)), surprises, np.full((2, 2), 0.2), np.full(2, LASTING))


def test_only_what_moved_rests_and_for_as_many_blocks() -> None:
    moved = begun(1.0)
    assert moved.learning.tolist() == [False, True]
    told = [list(moved.step(looked(1.0, 0.0))) for _ in range(BLOCKS)]
    assert [len(one) for one in told] == [0] * (BLOCKS - 1) + [1]
    assert not moved.learning.any()


def test_the_level_is_what_the_blocks_show_not_what_the_alarm_said() -> None:
    moved, generator = begun(2.0), np.random.default_rng(1)
    for _ in range(BLOCKS):
        told = list(moved.step(looked(0.5, generator.normal(0, 0.2))))
    ((stream, shift, age),) = told
    assert stream == 1
    assert shift == pytest.approx(0.5, abs=0.2)
    assert age == BLOCKS + 3


def test_a_move_that_was_chance_leaves_the_level_where_it_was() -> None:
    moved = begun(0.1)
    for _ in range(BLOCKS):
        told = list(moved.step(looked(0.0, 0.0)))
    assert told == [(1, 0.0, BLOCKS + 3)]
