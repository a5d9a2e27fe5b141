import itertools
import json
import math
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.verdict.clustered import PodErrors
from deploy.verdict.distributions import NO_COUNTS
from deploy.verdict.guards import Guard
from deploy.verdict.schedule import Schedule
from deploy.verdict.spending import NOTHING_SPENT
from deploy.verdict.units import UnitPlan, Users, assigned, drawn, take_pods

PLAN = UnitPlan(cap=5, alpha=0.05, planned=150)
COUNTS = st.lists(st.integers(0, 6), min_size=1, max_size=8)
LOOKS = st.lists(st.tuples(*[st.dictionaries(st.sampled_from(names), st.integers(0, 9)) for names in ("abc", "defgh")]))


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation, no secret


def within(alpha: float, runs: int) -> float:
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


@given(COUNTS, st.data())
def test_a_draw_without_replacement_is_what_counting_all_draws_finds(counts: list[int], data: st.DataObject) -> None:
    units = data.draw(st.integers(0, len(counts)))
    sums = Counter(sum(draw) for draw in itertools.combinations(counts, units))
    found = drawn(counts, units)
    for index, chance in enumerate(found.chances):
        assert chance == pytest.approx(sums[found.start + index] / math.comb(len(counts), units))
    assert sum(found.chances) == pytest.approx(1)


@given(COUNTS, st.floats(0.05, 0.95))
def test_an_assignment_by_hash_is_what_counting_all_assignments_finds(counts: list[int], share: float) -> None:
    expected = defaultdict[int, float](float)
    for arms in itertools.product((0, 1), repeat=len(counts)):
        chance = math.prod(share if arm else 1 - share for arm in arms)
        expected[sum(count for count, arm in zip(counts, arms, strict=True) if arm)] += chance
    found = assigned(NO_COUNTS, counts, share)
    for total, chance in expected.items():
        index = total - found.start
        there = found.chances[index] if 0 <= index < len(found.chances) else 0.0
        assert there == pytest.approx(chance, abs=1e-12)


def sticky(seed: int, ratio: float) -> tuple[bool, bool]:
    """Play 15 looks at 300 users, a few of whom fail again and again; say whether each of two tests rejects."""
    random_, users, guard = seeded(seed), Users(), Guard()
    canary = {f"user-{number}" for number in range(300) if random_.random() < 0.2}
    # How often each user fails is its own: one in ten, ten times as often.
    habits = {f"user-{number}": 0.3 if random_.random() < 0.1 else 0.01 for number in range(300)}
    by_unit = by_request = False
    for _ in range(15):
        errors = {
            user: sum(random_.random() < habit * (ratio if user in canary else 1) for _ in range(4))
            for user, habit in habits.items()
        }
        mine, theirs = ({user: errors[user] for user in errors if (user in canary) is arm} for arm in (True, False))
        users, rejected = users.take(PLAN, 0.2, mine, theirs)
        by_unit |= rejected
        guard, rejected = guard.take(sum(mine.values()), sum(theirs.values()), 0.2, alpha=0.05, schedule=Schedule(150))
        by_request |= rejected
    return by_unit, by_request


def test_sticky_users_who_fail_again_and_again_are_held_by_unit_mode_and_not_by_a_test_per_request() -> None:
    runs = 250
    found = [sticky(seed, 1.0) for seed in range(runs)]
    assert sum(by_unit for by_unit, _ in found) / runs <= within(PLAN.alpha, runs)
    assert sum(by_request for _, by_request in found) / runs > 0.15


def test_a_canary_that_fails_its_users_three_times_as_often_is_found_by_unit_mode() -> None:
    assert sum(sticky(seed, 3.0)[0] for seed in range(40)) / 40 >= 0.8


def outages(seed: int, ratio: float) -> bool:
    """Play 30 looks at ten pods, one of them the canary's: an error now and then, and outages of 6 errors."""
    random_, spending = seeded(seed), NOTHING_SPENT
    for _ in range(30):
        pods = [
            sum(random_.random() < 0.02 * factor for _ in range(20)) + 6 * (random_.random() < 0.05 * factor)
            for factor in (ratio, *[1.0] * 9)
        ]
        spending, rejected = take_pods(PLAN, spending, pods[:1], pods[1:])
        if rejected:
            return True
    return False


def test_outages_of_pods_are_held_within_alpha() -> None:
    runs = 400
    assert sum(outages(seed, 1.0) for seed in range(runs)) / runs <= within(PLAN.alpha, runs)


def test_a_pod_that_is_four_times_as_bad_is_found() -> None:
    assert sum(outages(seed, 4.0) for seed in range(40)) / 40 >= 0.8


@settings(deadline=None, max_examples=60)
@given(LOOKS)
def test_looks_survive_json_and_an_empty_one_changes_nothing(
    looks: list[tuple[dict[str, int], dict[str, int]]],
) -> None:
    users, carried = Users(), Users()
    for canary, baseline in looks:
        users, rejected = users.take(PLAN, 0.3, canary, baseline)
        carried, same = carried.take(PLAN, 0.3, canary, baseline)
        assert same == rejected
        if rejected:
            break
        again, said = carried.take(PLAN, 0.3, {}, {"a user without errors": 0})
        assert not said
        carried = Users.from_json(json.loads(json.dumps(again.to_json())))
        assert carried.spending.null.chances == pytest.approx(users.spending.null.chances, abs=1e-15)
        assert carried.counted == users.counted
        # Nobody is counted twice.
        assert users.spending.counted <= PLAN.cap * len(users.counted)


def test_a_new_salt_lets_everybody_be_counted_again() -> None:
    users, _ = Users().take(PLAN, 0.5, {"a": 2}, {})
    repeated, _ = users.take(PLAN, 0.5, {"a": 2}, {})
    assert repeated.spending.found == 2
    anew, _ = users.next_step().take(PLAN, 0.5, {}, {"a": 2})
    assert anew.spending.counted == 4


def test_a_user_in_both_arms_is_refused_and_an_arm_without_pods_is_no_look() -> None:
    with pytest.raises(ValueError, match="in both arms"):
        Users().take(PLAN, 0.5, {"a": 1}, {"a": 0})
    assert take_pods(PLAN, NOTHING_SPENT, [], [3, 4]) == (NOTHING_SPENT, False)


def spells(seed: int, block: int) -> bool:
    """Play 60 looks at ten pods, each in trouble for five looks now and then; say whether the canary is found worse."""
    random_, metric, trouble = seeded(seed), PodErrors(PLAN, block), [False] * 10
    for _ in range(60):
        trouble = [random_.random() < (0.8 if bad else 0.01) for bad in trouble]
        pods = [sum(random_.random() < (0.1 if bad else 0.01) for _ in range(40)) for bad in trouble]
        metric = metric.take((pods[:1], pods[1:]))
    return metric.reading().worse


def test_spells_of_trouble_are_held_by_blocks_that_outlast_them_and_not_look_by_look() -> None:
    runs = 200
    assert sum(spells(seed, 15) for seed in range(runs)) / runs <= within(PLAN.alpha, runs)
    assert sum(spells(seed, 1) for seed in range(runs)) / runs > 0.1


def test_a_block_is_the_sum_of_its_looks_and_ends_when_pods_come_or_go_or_a_step_does() -> None:
    plan = UnitPlan(cap=100, alpha=0.05, planned=150)
    whole = PodErrors(plan).take(([3], [1, 5])).spending
    parts = PodErrors(plan, 2).take(([2], [1, 1])).take(([], [4, 4])).take(([1], [0, 4]))
    assert parts.spending == whole
    waiting = PodErrors(plan, 9).take(([3], [1, 5]))
    assert waiting.spending == NOTHING_SPENT
    assert waiting.next_step().spending == whole
    assert waiting.take(([1, 1], [1])).spending == whole
    assert waiting.take(([1, 1], [1])).reading().counts == {"looks": 2}
