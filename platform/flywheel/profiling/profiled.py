"""One column of a frame, profiled block by block."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flywheel.profiling.column import ColumnSketch
from flywheel.profiling.scale import ColumnScale
from flywheel.profiling.scores import CategoryScores, NumberScores


@dataclass(frozen=True)
class ProfiledColumn:
    """What a column's rows came to.

    Args:
        scale: That its rows were placed on.
        sketches: (n_blocks,)
        numbers: (n_blocks,); empty where the scale places no numbers.
        categories: (n_blocks,); empty for numbers and times.
        stepped: (n_rows,), scores in whole steps, 0 where missing; None where the scale places no numbers.
    """

    scale: ColumnScale
    sketches: list[ColumnSketch]
    numbers: tuple[NumberScores, ...] = ()
    categories: tuple[CategoryScores, ...] = ()
    stepped: npt.NDArray[np.int8] | None = None

    @property
    def name(self) -> str:
        """The column's."""
        return self.scale.name
