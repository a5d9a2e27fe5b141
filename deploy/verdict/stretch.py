"""The stretch in which values have been above what they may be: where an alarm says since when, and how much.

The mean of all values since a promotion hides what a good year stands before. Page's cumulative sum (Biometrika 41,
1954) begins anew whenever it falls to nothing, so what it is made of is the stretch that speaks against the version.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from deploy.verdict.watching import BETS, MeanWatch


@dataclass(frozen=True)
class Stretch:
    """Values since the sum was last nothing.

    It grows by the logarithm of the watch's smallest bet. That is concave, so a stretch in which any of the larger bets
    gained grows as well: when the watch raises its alarm there is one, and its mean is above the watch's bound.

    Args:
        rise: The sum.
        count: Values.
        total: Their sum.
        since: Time of the look in which it began; None while there is no stretch.
    """

    rise: float = 0.0
    count: int = 0
    total: float = 0.0
    since: datetime | None = None

    @property
    def mean(self) -> float:
        """Of the values; NaN while there are none."""
        return self.total / self.count if self.count else math.nan

    def take(self, values: Sequence[float], watch: MeanWatch, at: datetime) -> "Stretch":
        """Take in one look's values, against the bound of a watch."""
        rise, count, total, since = self.rise, self.count, self.total, self.since
        for value in values:
            rise += math.log1p(min(BETS) * (value - watch.bound) / (watch.bound - watch.low))
            rise, count, total, since = (
                (rise, count + 1, total + value, since or at) if rise > 0 else (0.0, 0, 0.0, None)
            )
        return Stretch(rise, count, total, since)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "since": self.since.isoformat() if self.since is not None else None}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Stretch":
        """Read what `to_json` wrote."""
        since = body["since"]
        return cls(**{**body, "since": datetime.fromisoformat(since) if since is not None else None})
