"""How much rows count by their age: half for each half-life that a row is older than the newest."""

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats


def row_weights(time: npt.NDArray[np.int64], half_life: int) -> Floats:
    """Return weights that halve each half-life, with a mean of 1, so that penalties keep their meaning; (n_rows,).

    Args:
        time: (n_rows,) of the rows' events, in any unit.
        half_life: In the same unit, above 0.
    """
    if not len(time):
        return np.empty(0)
    weight = np.exp2(-(time.max() - time) / half_life)
    return np.asarray(weight / weight.mean(), dtype=np.float64)
