"""Blocks of days for out-of-fold choices on validation rows: calibration and threshold are judged where they were not fitted."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from training.evaluation.clusters import Clusters

FOLDS = 5

Mask = npt.NDArray[np.bool_]


def blocks(clusters: Clusters) -> Iterator[tuple[Mask, Mask]]:
    """Yield (fitted, held out) as masks (n_rows,): five blocks of neighbouring days, each held out once."""
    block = clusters.code * min(FOLDS, clusters.count) // clusters.count
    for fold in range(min(FOLDS, clusters.count)):
        yield block != fold, block == fold
