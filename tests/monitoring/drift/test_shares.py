"""Shares are followed without bias, however many rows a block has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift.shares import Share, Shares


@pytest.mark.parametrize("base", [0.001, 0.02, 0.3, 0.98])
@pytest.mark.parametrize("rows", [30, 300, 3_000])
def test_a_share_that_stays_the_same_has_the_same_mean_in_small_and_large_blocks(base: float, rows: int) -> None:
    share = Share.of(base, 400)
    shares = Shares.of([share])
    counts = np.random.default_rng(1).binomial(rows, base, 20_000)
    values = np.array([shares.values(np.array([float(count)]), np.array([float(rows)]))[0] for count in counts[:4_000]])
    truth = np.log(base / (1 - base)) if share.odds else np.arcsin(np.sqrt(base))
    # Within a tenth of the sampling noise that is reckoned with.
    assert abs(values.mean() - truth) < 0.1 * np.sqrt(share.row_variance / rows)


@given(base=st.floats(0.0, 1.0), usual=st.integers(1, 100_000))
def test_what_is_read_is_what_was_followed(base: float, usual: int) -> None:
    share = Share.of(base, usual)
    followed = np.log(base / (1 - base)) if share.odds else np.arcsin(np.sqrt(base))
    assert share.read(float(followed)) == pytest.approx(base, abs=1e-9)


def test_no_rows_are_no_value() -> None:
    assert np.isnan(Shares.of([Share(0.1, odds=True)]).values(np.zeros(1), np.zeros(1)))[0]


def test_a_share_never_seen_is_followed_from_nought() -> None:
    share = Share.of(0.0, 100)
    assert not share.odds
    assert Shares.of([share]).values(np.zeros(1), np.full(1, 50.0))[0] == 0.0
