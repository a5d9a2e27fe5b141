"""Training against the first live windows, column by column: how far each has moved, largest first.

This measures; whether a move is more than chance is for `release`. At a release the question is not "has the world
changed", which the drift decision asks of all blocks, but "does the service get what training got", and the column that
is shifted, empty or of another type says which join is wrong.
"""

from dataclasses import asdict, dataclass

import numpy as np

from flywheel.profile import ColumnProfile
from flywheel.statistics import Floats

LARGE = 0.5  # of a normal score, or of the distance between two sets of shares


@dataclass(frozen=True)
class Moved:
    """One column, training against live.

    Attributes:
        column: Its name.
        shift: Difference of the medians in standard deviations of training (by its quantiles); 0 for text.
        shares: Half the sum of absolute differences of the categories' shares, 0 to 1; 0 for numbers.
        missing: Share of missing values live minus that of training.
        reason: The sentence; empty where nothing is large.
    """

    column: str
    shift: float
    shares: float
    missing: float
    reason: str

    @property
    def size(self) -> float:
        """By what columns are ranked: the largest of the three."""
        return max(abs(self.shift), self.shares, abs(self.missing))

    def body(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)


def compare_profiles(training: tuple[ColumnProfile, ...], live: tuple[ColumnProfile, ...]) -> tuple[Moved, ...]:
    """Compare profiles of the same columns, those that moved farthest first.

    Args:
        training: Of the rows trained on.
        live: Of the first windows served; a column that is not among them counts as wholly missing.
    """
    found = {column.name: column for column in live}
    moved = [_compare(column, found.get(column.name)) for column in training]
    return tuple(sorted(moved, key=lambda one: -one.size))


def _compare(before: ColumnProfile, now: ColumnProfile | None) -> Moved:
    if now is None:
        return Moved(before.name, 0.0, 0.0, 1 - before.missing_share, f"'{before.name}' is not sent at all.")
    if now.type != before.type:
        reason = f"'{before.name}' was {before.type} in training and is {now.type} now."
        return Moved(before.name, 0.0, 1.0, now.missing_share - before.missing_share, reason)
    shift = _shift(np.array(before.quantiles), np.array(now.quantiles))
    names = before.categories.keys() | now.categories.keys()
    shares = sum(abs(before.categories.get(name, 0.0) - now.categories.get(name, 0.0)) for name in names) / 2
    missing = now.missing_share - before.missing_share
    return Moved(before.name, shift, shares, missing, _sentence(before, now, shift, shares, missing))


def _shift(before: Floats, now: Floats) -> float:
    """Return the difference of medians over training's spread, that of a normal with the same middle two thirds."""
    if len(before) < 2 or len(now) < 2:
        return 0.0
    low, middle, high = np.quantile(before, [0.16, 0.5, 0.84])
    spread = float(high - low) / 2 or float(before[-1] - before[0]) / 6
    difference = float(np.median(now) - middle)
    if spread == 0:
        return float(np.sign(difference))
    return difference / spread


def _sentence(before: ColumnProfile, now: ColumnProfile, shift: float, shares: float, missing: float) -> str:
    if abs(missing) >= LARGE:
        usual = f"in training in {before.missing_share:.0%}"
        return f"'{before.name}' is missing in {now.missing_share:.0%} of the rows, {usual}."
    if abs(shift) >= LARGE:
        medians = (float(np.median(one.quantiles)) for one in (before, now))
        return "'{}' has the median {:.4g} in training and {:.4g} now: {:+.1f} standard deviations.".format(
            before.name, *medians, shift
        )
    if shares >= LARGE:
        return f"'{before.name}' has other values: {shares:.0%} of the rows would have to change to be as in training."
    return ""
