"""What is measured of losses and of known misses is what the verdict's own tests say."""

import numpy as np
import pytest

from benchmarks import canary_pairs
from benchmarks.canary import goals_of_pairs
from benchmarks.canary_pairs import CORRELATION, HARM, MEAN, SPREAD, known_misses, requests_until_found


def test_losses_have_the_mean_the_spread_and_the_harm_that_they_claim() -> None:
    canary, champion = canary_pairs._losses(np.random.default_rng(1), 200_000)
    assert abs(champion.mean() - MEAN) < 0.002
    assert abs(champion.std() - SPREAD) < 0.002
    assert abs(canary.mean() / champion.mean() - 1 - HARM) < 0.002
    assert abs(np.corrcoef(canary, champion)[0, 1] - CORRELATION) < 0.01


def test_pairs_are_found_sooner_than_a_split_and_no_harm_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = requests_until_found(3)
    assert found["paired"] < found["unpaired"]
    assert [one["met"] for one in (goal.__dict__ for goal in goals_of_pairs(found))] == [True, True]
    monkeypatch.setattr(canary_pairs, "HARM", 0.0)
    monkeypatch.setattr(canary_pairs, "MOST", 3000)
    assert requests_until_found(3)["paired"] == 3000


def test_known_misses_are_wrong_where_the_judge_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row["is_right"] for row in known_misses()] == [True] * 4
    monkeypatch.setitem(canary_pairs.KNOWN_MISSES, "kayenta 426", ([0.0] * 3, [1.0] * 3, "roll back"))
    assert [row["is_right"] for row in known_misses()].count(False) == 1
