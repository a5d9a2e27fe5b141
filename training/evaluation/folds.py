"""Blocks of days, so that what is fitted on validation rows is judged on days that it has not seen."""

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
