"""Limits only ever become stricter, however policies, sections and use cases are joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.limits import BUILT_IN, LICENCES, Limits, PolicyLimits, gate_of, stricter

numbers = st.none() | st.floats(0.001, 1000)
names = st.dictionaries(st.sampled_from(["roc_auc", "log_loss", "f1"]), st.floats(-10, 10), max_size=3)
limits = st.builds(
    Limits,
    champion_margin=numbers,
    minimum=names,
    maximum=names,
    slice_loss_ratio=numbers,
    latency_p99_ms=numbers,
    behaviours_failed=st.none() | st.integers(0, 5),
    licences=st.none() | st.lists(st.sampled_from(LICENCES), unique=True).map(tuple),
)
UPPER = [name for name in Limits.model_fields if name not in ("minimum", "maximum", "licences")]


def no_looser(one: Limits, than: Limits) -> bool:
    """Say whether everything that keeps `one` keeps `than`."""
    for name in UPPER:
        here, there = getattr(one, name), getattr(than, name)
        if there is not None and (here is None or here > there):
            return False
    if any(key not in one.minimum or one.minimum[key] < value for key, value in than.minimum.items()):
        return False
    if any(key not in one.maximum or one.maximum[key] > value for key, value in than.maximum.items()):
        return False
    return than.licences is None or (one.licences is not None and {*one.licences} <= {*than.licences})


def alike(one: Limits, other: Limits) -> bool:
    return no_looser(one, other) and no_looser(other, one)


@given(limits, limits)
def test_the_join_is_never_looser_than_either(floor: Limits, asked: Limits) -> None:
    joined, moot = stricter(floor, asked)
    assert no_looser(joined, floor)
    assert no_looser(joined, asked)
    if no_looser(asked, floor):
        assert moot == ()


@given(limits, limits, limits)
def test_joining_is_commutative_associative_and_idempotent(a: Limits, b: Limits, c: Limits) -> None:
    assert alike(stricter(a, b)[0], stricter(b, a)[0])
    assert alike(stricter(stricter(a, b)[0], c)[0], stricter(a, stricter(b, c)[0])[0])
    assert stricter(a, a) == (a, ())


@given(limits)
def test_what_a_policy_sets_by_default_cannot_be_lifted_by_who_asks_for_less(asked: Limits) -> None:
    joined, _ = stricter(PolicyLimits(), asked)
    assert isinstance(joined, PolicyLimits)
    assert no_looser(joined, PolicyLimits())


def test_a_looser_wish_is_named_as_moot() -> None:
    floor = Limits(size_mb=10, minimum={"roc_auc": 0.7}, licences=("MIT",))
    asked = Limits(size_mb=20, minimum={"roc_auc": 0.6}, licences=("MIT", "ISC"), latency_p99_ms=5)
    joined, moot = stricter(floor, asked)
    assert set(moot) == {"size_mb", "minimum", "licences"}
    assert joined.latency_p99_ms == 5


def test_another_metric_beside_the_floor_s_is_no_looser_wish() -> None:
    floor, asked = Limits(minimum={"roc_auc": 0.7}), Limits(minimum={"average_precision": 0.4})
    assert stricter(floor, asked) == (Limits(minimum={"roc_auc": 0.7, "average_precision": 0.4}), ())


@pytest.mark.parametrize("field", sorted(Limits.model_fields))
def test_each_limit_belongs_to_a_built_in_gate(field: str) -> None:
    assert gate_of(field) in BUILT_IN


def test_a_policy_may_lift_a_limit_and_set_one_alone() -> None:
    held = PolicyLimits.model_validate({"size_mb": None, "memory_mb": 900})
    assert (held.size_mb, held.memory_mb, held.skew) == (None, 900, 1e-6)
