"""Fits are made once, kept whole, and found again."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flywheel.errors import IntegrityError
from monitoring.backtest.fits import Fits
from monitoring.backtest.trainer import Fit
from tests.monitoring.backtest.histories import ShareTrainer, history

FIT = Fit("share", {"trees": 3}, (0, 400), (440, 800))


def test_what_was_fitted_before_is_found_by_the_next_run(tmp_path: Path) -> None:
    trainer, told = ShareTrainer(history([0.2] * 30)), list[bool]()
    first = Fits(trainer, tmp_path, "digest", told.append).predictions(FIT)
    second = Fits(trainer, tmp_path, "digest", told.append).predictions(FIT)
    assert np.array_equal(first, second)
    assert len(trainer.fits) == 1
    assert told == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        replace(FIT, rows=(1, 400)),
        replace(FIT, half_life=10**13),
        replace(FIT, params={"trees": 4}),
        replace(FIT, family="other"),
    ],
)
def test_whatever_a_fit_depends_on_makes_another_one(tmp_path: Path, other: Fit) -> None:
    trainer = ShareTrainer(history([0.2] * 30))
    for fit in (FIT, other):
        Fits(trainer, tmp_path, "digest").predictions(fit)
    Fits(trainer, tmp_path, "another history").predictions(FIT)
    assert len(trainer.fits) == 3


def test_policies_that_train_alike_at_the_same_time_make_one_fit(tmp_path: Path) -> None:
    trainer = ShareTrainer(history([0.2] * 30))
    fits = Fits(trainer, tmp_path, "digest")
    threads = [threading.Thread(target=fits.predictions, args=(FIT,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trainer.fits) == 1


def test_a_kept_fit_that_is_not_whole_is_named(tmp_path: Path) -> None:
    fits = Fits(ShareTrainer(history([0.2] * 30)), tmp_path, "digest")
    fits.predictions(FIT)
    (tmp_path / f"{fits.key(FIT)}.npy").write_bytes(b"half a file")
    with pytest.raises(IntegrityError, match="Delete it and start again"):
        fits.predictions(FIT)
