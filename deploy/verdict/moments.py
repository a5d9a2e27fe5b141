"""Running mean and variance of values in 0 to 1, and the pieces in which values are taken in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Bets stay as they are until the evidence has grown by a sixteenth: any bet that does not know the values it is laid
# on is valid, and one a value costs 16 times the arithmetic for a hardly better bet.
GROWTH = 16


@dataclass(frozen=True)
class Moments:
    """Sums over what was seen, with one imaginary value of mean 1/2 and variance 1/4 before it.

    Waudby-Smith & Ramdas, arXiv 2010.09686: the estimates that the bets of the next value may use.

    Args:
        count: Values so far.
        total: Their sum.
        squares: Sum of their squared distances from the mean, as it was after each piece.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """Estimated mean (0 to 1)."""
        return (0.5 + self.total) / (self.count + 1)

    @property
    def variance(self) -> float:
        """Estimated variance (above 0, to 1/4)."""
        return (0.25 + self.squares) / (self.count + 1)

    def plus(self, piece: Sequence[float]) -> "Moments":
        """Add a piece."""
        count, total = self.count + len(piece), self.total + sum(piece)
        mean = (0.5 + total) / (count + 1)
        return Moments(count, total, self.squares + sum((value - mean) ** 2 for value in piece))

    def pieces(self, values: Sequence[float]) -> Iterator[Sequence[float]]:
        """Cut a batch into pieces, each at most a GROWTH-th of what came before it."""
        at = 0
        while at < len(values):
            size = max(1, (self.count + at) // GROWTH)
            yield values[at : at + size]
            at += size
