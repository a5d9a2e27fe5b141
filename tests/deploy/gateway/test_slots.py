from collections.abc import Sequence
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from deploy.gateway.slots import runs


@st.composite
def rising(draw: st.DrawFn, most: int | None = None) -> tuple[list[int], list[int]]:
    """Draw percents of some challengers, and later ones of which none is smaller."""
    count = draw(st.integers(1, most or 6))
    largest, left, later = 100 if most else 100 // count, 100, []
    for _ in range(count):
        later.append(draw(st.integers(0, min(largest, left))))
        left -= later[-1]
    later = draw(st.permutations(later))
    return [draw(st.integers(0, percent)) for percent in later], later


def owners(percents: Sequence[int]) -> list[int]:
    return list(chain.from_iterable([arm] * width for arm, width in runs(percents)))


def assert_nobody_moves_back(before: list[int], later: list[int]) -> None:
    for now, then in zip(owners(before), owners(later), strict=True):
        assert now in (0, then)


@given(rising(most=2))
def test_while_shares_of_one_or_two_challengers_rise_nobody_moves_back_or_across(
    shares: tuple[list[int], list[int]],
) -> None:
    assert_nobody_moves_back(*shares)


@given(rising())
def test_while_shares_rise_up_to_an_nth_each_nobody_moves_back_or_across(shares: tuple[list[int], list[int]]) -> None:
    assert_nobody_moves_back(*shares)


@given(st.lists(st.integers(0, 100), max_size=6).filter(lambda percents: sum(percents) <= 100))
def test_each_arm_has_its_percent_and_the_champion_the_rest(percents: list[int]) -> None:
    found = owners(percents)
    assert [found.count(arm) for arm in range(1, len(percents) + 1)] == percents
    assert len(found) == 100


def test_a_canary_has_the_upper_end_so_that_a_rollout_under_way_keeps_its_callers() -> None:
    assert runs([10]) == [(0, 90), (1, 10)]
    assert runs([]) == runs([0]) == [(0, 100)]
