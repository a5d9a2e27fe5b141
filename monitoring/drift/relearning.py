"""Streams that have moved, while their new level is learned: they give no evidence meanwhile.

What an alarm says of a shift is too much on average, since it spoke when chance helped. So the shift is estimated for
some blocks more, and shrunk by what its noise alone would have come to (James and Stein, 4th Berkeley Symposium, 1961).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from flywheel.statistics import Floats
from monitoring.drift.evidence import Strongest
from monitoring.drift.tails import Looked

BLOCKS = 28  # four of each weekday


@dataclass
class Relearning:
    """Every array is (n_streams,).

    Args:
        left: Blocks until the new level is taken; 0 for streams that have not moved.
        moved: Weighted sum of surprises since the shift began.
        certain: Its information.
        age: Blocks since the shift began.
    """

    left: Floats
    moved: Floats
    certain: Floats
    age: Floats

    @classmethod
    def of(cls, streams: int) -> Self:
        """Return what is learned while nothing has moved."""
        return cls(*(np.zeros(streams) for _ in range(4)))

    @property
    def learning(self) -> npt.NDArray[np.bool_]:
        """Which streams are learned anew."""
        return self.left > 0

    def begin(self, streams: Sequence[int], strongest: Strongest) -> None:
        """Begin with what the strongest detector of each of `streams` has found."""
        for stream in streams:
            self.left[stream] = BLOCKS
            self.certain[stream] = strongest.error[stream] ** -2
            self.moved[stream] = strongest.effect[stream] * self.certain[stream]
            self.age[stream] = strongest.age[stream]

    def begin_anew(self) -> None:
        """Begin with all streams and what the next blocks show of them."""
        self.left[:] = BLOCKS
        for known in (self.moved, self.certain, self.age):
            known[:] = 0.0

    def step(self, looked: Looked) -> Iterator[tuple[int, float, int]]:
        """Add a block; yield each stream that has been learned, how far it has moved, and since how many blocks."""
        learning = self.learning
        weight = np.where(learning, looked.lasting / looked.scales[:, 0] ** 2, 0.0)
        self.moved += weight * looked.surprises[:, 0]
        self.certain += weight * looked.lasting
        self.age += learning
        self.left = np.maximum(self.left - learning, 0.0)
        for stream in np.flatnonzero(learning & (self.left == 0)).tolist():
            shift, squared = self.moved[stream] / self.certain[stream], self.moved[stream] ** 2 / self.certain[stream]
            yield stream, float(shift * max(1 - 1 / max(squared, 1e-12), 0.0)), int(self.age[stream])
