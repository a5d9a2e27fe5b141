"""Rows weigh by their age, in a dataset as in an array, and only where a use case asks for it."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from flywheel.errors import SpecError
from flywheel.usecase import UseCase
from tests.training.tiny_dataset import usecase, write
from training.arguments import with_rows
from training.data.weights import row_weights
from training.families.catalogue import BUILT_IN, check_weights, choose_families
from training.families.protocol import Family

FAMILIES = Path(__file__).parents[1] / "families"


def test_a_row_weighs_half_for_each_half_life_and_one_on_average() -> None:
    weights = row_weights(np.array([0, 10, 20], dtype=np.int64), 10)
    assert np.allclose(weights / weights[-1], [0.25, 0.5, 1])
    assert np.isclose(weights.mean(), 1)
    assert len(row_weights(np.empty(0, dtype=np.int64), 10)) == 0


def test_a_dataset_weighs_its_rows_only_when_it_is_told_to(tmp_path: Path) -> None:
    plain: UseCase = usecase("binary")
    weighed = with_rows(plain, {"half_life": timedelta(days=3)})
    first, second = write(tmp_path / "a", plain), write(tmp_path / "b", weighed)
    assert first.weight(first.everything) is None
    weights = second.weight(second.everything)
    assert weights is not None
    assert np.allclose(weights, row_weights(second.time, 3 * 86_400_000_000))
    assert first.digest != second.digest  # another study


def test_families_that_would_not_heed_weights_are_refused() -> None:
    check_weights(BUILT_IN)
    own: tuple[Family, ...] = choose_families(("extra_trees_family.py",), "binary", FAMILIES)
    with pytest.raises(SpecError, match="takes_weights = True"):
        check_weights(own)
