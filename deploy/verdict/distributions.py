"""Distributions of counts, and their sums: lists of probabilities that start where they begin to matter."""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

# Probabilities below this are dropped from both ends of a distribution; what that loses over a thousand looks is 1e-12.
NEGLIGIBLE = 1e-15
# More probabilities than these are kept at every second count: a look costs the same at any traffic.
WIDEST = 384
# Probabilities as integers of 63 bits: two of them multiply to 126, and sums of such products fit 128.
_SCALE = 2.0**63
_WORDS = 2


@dataclass(frozen=True)
class Distribution:
    """Probabilities of the counts start, start + spacing, …; they may sum to less than one, when paths were stopped.

    A wide one is kept at every second count, and again: what lay between two counts goes to both. So the mean stays,
    and the chance of what is at or above a count that was kept only grows, by little.
    """

    start: int = 0
    chances: tuple[float, ...] = (1.0,)
    spacing: int = 1

    def plus(self, other: "Distribution", times: int = 1) -> "Distribution":
        """Return the distribution of this count and `times` another independent one, without what is negligible.

        The other one's spacing is 1. Counts that differ by a multiple of `times` are carried by themselves: that costs
        a `times`-th of carrying the other distribution with zeros between its counts.
        """
        if self.spacing > 1:
            chances = _sums(self.chances, _at_every(self.spacing, other.chances, times))
        else:
            chances = [0.0] * (len(self.chances) + times * (len(other.chances) - 1))
            for rest in range(min(times, len(self.chances))):
                chances[rest::times] = _sums(self.chances[rest::times], other.chances)
        found = trimmed(self.start + times * other.start, chances, self.spacing)
        while len(found.chances) > WIDEST:
            found = Distribution(found.start, _at_every(2, found.chances), 2 * found.spacing)
        return found

    def below(self, count: int) -> "Distribution":
        """Return what lies below a count."""
        kept = max(-((self.start - count) // self.spacing), 0)
        return Distribution(self.start, self.chances[:kept] or (0.0,), self.spacing)


NO_COUNTS = Distribution()


def binomial(trials: int, chance: float) -> Distribution:
    """Return Binomial(trials, chance), from its mode outwards until the probabilities are negligible."""
    mode = min(math.floor((trials + 1) * chance), trials)
    odds = chance / (1 - chance)
    peak = math.exp(
        math.lgamma(trials + 1)
        - math.lgamma(mode + 1)
        - math.lgamma(trials - mode + 1)
        + mode * math.log(chance)
        + (trials - mode) * math.log1p(-chance)
    )
    above = _until_negligible(peak, ((trials - count) / (count + 1) * odds for count in range(mode, trials)))
    under = _until_negligible(peak, (count / (trials - count + 1) / odds for count in range(mode, 0, -1)))
    return Distribution(mode - len(under), (*reversed(under), peak, *above))


def trimmed(start: int, chances: list[float], spacing: int = 1) -> Distribution:
    """Return a distribution without what is negligible at both ends."""
    low, high = 0, len(chances)
    while low < high - 1 and chances[low] < NEGLIGIBLE:
        low += 1
    while high > low + 1 and chances[high - 1] < NEGLIGIBLE:
        high -= 1
    return Distribution(start + low * spacing, tuple(chances[low:high]), spacing)


def log_beta(a: float, b: float) -> float:
    """Return the logarithm of the Beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _until_negligible(value: float, factors: Iterator[float]) -> list[float]:
    chances = list[float]()
    for factor in factors:
        value *= factor
        if value < NEGLIGIBLE:
            break
        chances.append(value)
    return chances


def _at_every(spacing: int, chances: tuple[float, ...], times: int = 1) -> tuple[float, ...]:
    """Return the chances of `times` a count at every so many counts; what lies between goes to both neighbours."""
    kept = [0.0] * ((len(chances) - 1) * times // spacing + 2)
    for index, chance in enumerate(chances):
        at, beyond = divmod(index * times, spacing)
        kept[at] += chance * (1 - beyond / spacing)
        kept[at + 1] += chance * beyond / spacing
    return tuple(kept)


def _sums(left: tuple[float, ...], right: tuple[float, ...]) -> list[float]:
    short, long = sorted((left, right), key=len)
    return [chance * short[0] for chance in long] if len(short) == 1 else _convolve(long, short)


def _convolve(left: tuple[float, ...], right: tuple[float, ...]) -> list[float]:
    """Multiply two polynomials as two long integers (Kronecker substitution), exact to 2⁻⁶².

    Python multiplies long integers in C and below quadratic cost: 190 by 190 chances take 0.2 ms, against 2 ms for
    two loops; and the last bit is the same on every machine, so that a replay is.
    """
    size = len(left) + len(right) - 1
    words = array("Q")
    words.frombytes((_packed(left) * _packed(right)).to_bytes(8 * _WORDS * size, "little"))
    return [word * 2.0**-62 for word in words[1::_WORDS]]


def _packed(chances: tuple[float, ...]) -> int:
    words = array("Q", bytes(8 * _WORDS * len(chances)))
    words[::_WORDS] = array("Q", [int(chance * _SCALE) for chance in chances])
    return int.from_bytes(words.tobytes(), "little")
