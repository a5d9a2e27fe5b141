"""Names that have been seen, many of them: asked at every look, and never all gone through. Pure.

Kept as 64-bit hashes, 8 bytes a name. Among a million names two have the same one with a chance of 3 in 100 million; a
unit would then be taken for another that has counted.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
NONE: Hashes = np.empty(0, dtype=np.uint64)
# New ones are sorted in among the others once they are more than one in so many: that takes 10 ms for a million.
SORTED_AT = 8


@dataclass(frozen=True)
class Seen:
    """A set of names.

    Args:
        sorted: Their hashes, rising.
        recent: Those of the newest, in no order.
    """

    sorted: Hashes = field(default_factory=lambda: NONE)
    recent: Hashes = field(default_factory=lambda: NONE)

    def has(self, names: pl.Series) -> pl.Series:
        """Say of each name, (n,), whether it has been seen."""
        asked = _hashes(names)
        place = np.searchsorted(self.sorted, asked)
        inside = place < len(self.sorted)
        found = np.isin(asked, self.recent)
        found[inside] |= self.sorted[place[inside]] == asked[inside]
        return pl.Series(found, dtype=pl.Boolean)

    def with_names(self, names: pl.Series) -> "Seen":
        """Add names (n,); most come again and again."""
        recent = np.concatenate([self.recent, _hashes(names.filter(~self.has(names)))])
        if len(recent) * SORTED_AT < len(self.sorted):
            return replace(self, recent=recent)
        return Seen(np.unique(np.concatenate([self.sorted, recent])), NONE)


def _hashes(names: pl.Series) -> Hashes:
    return np.asarray(names.hash(seed=0).to_numpy(), dtype=np.uint64)
