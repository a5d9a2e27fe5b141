from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.profiling.placing import QUANTILES, WORTH_A_GRID, normal_scores, place
from flywheel.statistics import Floats

EDGES = np.sort(np.random.default_rng(1).normal(size=QUANTILES) * 1e5)
SHAPES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda draw, n: draw.normal(size=n),
    "heavy tails": lambda draw, n: draw.standard_cauchy(n) ** 3,
    "one value in two": lambda draw, n: np.where(draw.random(n) < 0.5, 0.0, draw.normal(size=n)),
    "whole numbers": lambda draw, n: draw.integers(-3, 4, n).astype(np.float64),
    "constant": lambda draw, n: np.full(n, 7.0),
    "far from zero": lambda draw, n: draw.integers(0, 300, n).astype(np.float64) + 1e15,
    "as wide as numbers go": lambda draw, n: draw.choice([-1.7e308, -1.0, 0.0, 1.0, 1.7e308, np.inf, -np.inf], n),
    "as fine as numbers go": lambda draw, n: draw.integers(0, 50, n).astype(np.float64) * 5e-324,
}


def searched(values: Floats, edges: Floats) -> list[int]:
    both = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right")
    return [int(one) for one in both]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_a_grid_finds_the_places_that_a_search_finds(shape: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = SHAPES[shape](generator, 4 * WORTH_A_GRID)
    finite = values[np.isfinite(values)]
    edges = np.sort(generator.choice(finite, QUANTILES))
    # The neighbours of each quantile are where rounding would show.
    values = np.concatenate([values, edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    assert place(values, edges).tolist() == searched(values, edges)


@settings(deadline=None)
@given(values=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_scores_are_bounded_keep_the_order_and_do_not_change_with_the_unit(values: list[float | None]) -> None:
    numbers = np.array([np.nan if value is None else value for value in values])
    score = normal_scores(numbers, EDGES)
    assert np.abs(score).max() < 2.6
    kept = [(value, one) for value, one in zip(values, score, strict=True) if value is not None]
    assert all(a <= b for (_, a), (_, b) in zip(sorted(kept), sorted(kept)[1:], strict=False))
    assert normal_scores(numbers * 2, EDGES * 2).tolist() == score.tolist()
    assert all(one == 0 for value, one in zip(values, score, strict=True) if value is None)
