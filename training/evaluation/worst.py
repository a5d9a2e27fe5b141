"""Search for the parts of the test rows where the model is worst, with the search itself paid for in the p-values.

Candidates are the parts by one column and by two (Chung et al. 2019, Slice Finder). A part must have a higher mean loss
than all rows, and a part by two columns a higher one than both its parts by one; each difference is tested one-sided
by Student's t on influences summed by day, and the largest p-value counts (an intersection-union test, which needs no
correction). Over parts the false discovery rate is held at 5 % (Benjamini and Hochberg 1995): half of it among parts by
one column, half among parts by two, so that the few are not drowned by the many.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from flywheel.statistics import Floats
from training.evaluation.clusters import Clusters
from training.evaluation.partition import Partition
from training.evaluation.report import Interval, SliceSearch, WorstSlice

RATE = 0.05
SMALLEST_SHARE = 0.01
FEWEST_ROWS = 50
FEWEST_CLUSTERS = 5
MOST_SHARE = 0.5  # a part of more rows is the rule, not the exception
SAME = 0.7  # two parts that share this much of their rows tell the same story
METHOD = "Student's t on day-clustered differences, one-sided; Benjamini-Hochberg at 5 % over all parts tried"


@dataclass(frozen=True)
class Sums:
    """Loss and rows of parts by cluster: both (n_parts, n_clusters)."""

    loss: Floats
    rows: Floats

    @property
    def size(self) -> Floats:
        """Rows of each part, (n_parts,)."""
        return np.asarray(self.rows.sum(axis=1))

    @property
    def mean(self) -> Floats:
        """Mean loss of each part, (n_parts,)."""
        return np.asarray(self.loss.sum(axis=1) / np.maximum(self.size, 1))

    @property
    def influence(self) -> Floats:
        """What each cluster does to each part's mean, (n_parts, n_clusters); the squares add up to its variance."""
        return (self.loss - self.mean[:, None] * self.rows) / np.maximum(self.size, 1)[:, None]

    def take(self, parts: npt.NDArray[np.int64]) -> "Sums":
        """Keep some parts."""
        return Sums(self.loss[parts], self.rows[parts])


@dataclass(frozen=True)
class Candidate:
    """A part and how it came out; `codes` are (column index, part of that column)."""

    codes: tuple[tuple[int, int], ...]
    rows: int
    loss: float
    difference: float
    error: float
    freedom: int
    p_value: float


def find_worst(
    partitions: Sequence[Partition],
    loss: Floats,
    clusters: Clusters,
    *,
    most: int,
    expected: Floats | None = None,
) -> SliceSearch:
    """Search parts of depth one and two.

    Args:
        partitions: Of the same rows, one a column.
        loss: Of each row, (n_rows,).
        clusters: Of the rows.
        most: How many parts are reported.
        expected: The loss that the model expects of each row, (n_rows,), where it says so.
    """
    least = max(FEWEST_ROWS, round(SMALLEST_SHARE * len(loss)))
    whole = _sums(np.zeros(len(loss), dtype=np.int64), 1, loss, clusters)
    single = [_sums(part.code, len(part.names), loss, clusters) for part in partitions]
    candidates: list[tuple[list[Candidate], float]] = [
        (list(_depth_one(single, whole, least)), RATE / 2),
        (list(_depth_two(partitions, single, whole, loss, clusters, least)), RATE / 2),
    ]
    judged = [pair for found, rate in candidates for pair in _benjamini_hochberg(found, rate)]
    judged.sort(key=lambda pair: -pair[0].difference)
    found = _distinct(judged, partitions, most)
    return SliceSearch(
        tested=sum(len(found) for found, _ in candidates),
        min_rows=least,
        method=METHOD,
        found=tuple(_report(item, p, rows, partitions, expected) for item, p, rows in found),
    )


def _sums(code: npt.NDArray[np.int64], parts: int, loss: Floats, clusters: Clusters) -> Sums:
    place, size = code * clusters.count + clusters.code, parts * clusters.count
    shape = (parts, clusters.count)
    rows = np.bincount(place, minlength=size).reshape(shape).astype(np.float64)
    return Sums(np.bincount(place, weights=loss, minlength=size).reshape(shape).astype(np.float64), rows)


def _depth_one(single: Sequence[Sums], whole: Sums, least: int) -> Iterator[Candidate]:
    for column, sums in enumerate(single):
        kept = _large_enough(sums, whole, least)
        codes = [((column, int(code)),) for code in kept]
        yield from _test(codes, sums.take(kept), [whole])


def _depth_two(
    partitions: Sequence[Partition],
    single: Sequence[Sums],
    whole: Sums,
    loss: Floats,
    clusters: Clusters,
    least: int,
) -> Iterator[Candidate]:
    for first, second in combinations(range(len(partitions)), 2):
        width = len(partitions[second].names)
        parts = len(partitions[first].names) * width
        sums = _sums(partitions[first].code * width + partitions[second].code, parts, loss, clusters)
        kept = _large_enough(sums, whole, least)
        parents = [single[first].take(kept // width), single[second].take(kept % width)]
        # A part that nearly is one of its parents is not a finding of its own.
        proper = np.minimum(parents[0].size, parents[1].size) * (1 - SMALLEST_SHARE) > sums.size[kept]
        kept = kept[proper]
        parents = [single[first].take(kept // width), single[second].take(kept % width)]
        codes = [((first, int(code // width)), (second, int(code % width))) for code in kept]
        yield from _test(codes, sums.take(kept), [whole, *parents])


def _large_enough(sums: Sums, whole: Sums, least: int) -> npt.NDArray[np.int64]:
    inside = (sums.rows > 0).sum(axis=1)
    outside = (whole.rows - sums.rows > 0).sum(axis=1)
    size = sums.size
    enough = (size >= least) & (size <= MOST_SHARE * whole.size)
    return np.flatnonzero(enough & (inside >= FEWEST_CLUSTERS) & (outside >= FEWEST_CLUSTERS))


def _test(codes: Sequence[tuple[tuple[int, int], ...]], sums: Sums, others: Sequence[Sums]) -> Iterator[Candidate]:
    """Test each part against each of `others` (one for all parts, or one a part); the first gives the difference."""
    if not codes:
        return
    outcomes = [_against(sums, other) for other in others]
    difference, error, freedom, _ = outcomes[0]
    p_values = np.max([outcome[3] for outcome in outcomes], axis=0)
    for index, code in enumerate(codes):
        yield Candidate(
            codes=code,
            rows=int(sums.size[index]),
            loss=float(sums.mean[index]),
            difference=float(difference[index]),
            error=float(error[index]),
            freedom=int(freedom[index]),
            p_value=float(p_values[index]),
        )


def _against(sums: Sums, other: Sums) -> tuple[Floats, Floats, Floats, Floats]:
    """Return difference of means, its standard error, degrees of freedom and one-sided p-value, each (n_parts,)."""
    inside = (sums.rows > 0).sum(axis=1)
    outside = (other.rows - sums.rows > 0).sum(axis=1)
    freedom = np.maximum(np.minimum(inside, outside) - 1, 1).astype(np.float64)
    difference = sums.mean - other.mean
    squares = ((sums.influence - other.influence) ** 2).sum(axis=1)
    error = np.sqrt(squares * (freedom + 1) / freedom)
    steps = difference / np.where(error > 0, error, 1)
    p_value = np.where(error > 0, stdtr(freedom, -steps), np.where(difference > 0, 0.0, 1.0))
    return difference, error, freedom, p_value


def _benjamini_hochberg(found: Sequence[Candidate], rate: float) -> list[tuple[Candidate, float]]:
    """Keep the discoveries, each with its adjusted p-value on the scale of `RATE`."""
    if not found:
        return []
    p_values = np.array([item.p_value for item in found])
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * len(found) / np.arange(1, len(found) + 1)
    adjusted = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    kept = [(found[int(place)], float(value)) for place, value in zip(order, adjusted, strict=True) if value <= rate]
    return [(item, min(1.0, value * RATE / rate)) for item, value in kept if item.difference > 0]


def _distinct(
    judged: Sequence[tuple[Candidate, float]], partitions: Sequence[Partition], most: int
) -> list[tuple[Candidate, float, npt.NDArray[np.bool_]]]:
    """Keep the worst, without those that are mostly the rows of one that is kept."""
    kept: list[tuple[Candidate, float, npt.NDArray[np.bool_]]] = []
    for item, p_value in judged:
        if len(kept) == most:
            break
        rows = np.logical_and.reduce([partitions[column].code == code for column, code in item.codes])
        if all((rows & other).sum() < SAME * min(rows.sum(), other.sum()) for _, _, other in kept):
            kept.append((item, p_value, rows))
    return kept


def _report(
    item: Candidate,
    p_adjusted: float,
    rows: npt.NDArray[np.bool_],
    partitions: Sequence[Partition],
    expected: Floats | None,
) -> WorstSlice:
    width = float(stdtrit(item.freedom, 0.975)) * item.error
    conditions = [(partitions[column].column, partitions[column].names[code]) for column, code in item.codes]
    return WorstSlice(
        conditions=tuple(conditions),
        rows=item.rows,
        share=item.rows / len(rows),
        loss=item.loss,
        difference=Interval(value=item.difference, low=item.difference - width, high=item.difference + width),
        p_adjusted=p_adjusted,
        expected_loss=float(expected[rows].mean()) if expected is not None else None,
    )
