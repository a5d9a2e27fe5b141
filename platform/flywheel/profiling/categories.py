"""Which values a column of text has, and how often, in bounded space.

Up to `MOST` values are counted exactly. Beyond that the counts are those of Misra and Gries, whose summaries merge
(Agarwal et al., Mergeable summaries, PODS 2012, section 2): each is too low by at most `error`, and a value that had
more than that is there. So a column of free text, where nothing repeats, leaves nothing. How many values there are is
told by HyperLogLog (Flajolet et al., AofA 2007; Apache DataSketches).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from datasketches import hll_sketch, hll_union, tgt_hll_type

from flywheel.errors import IntegrityError

MOST = 1_000
LONGEST = 100  # characters; whatever is longer is text that somebody wrote, and is counted without being kept
LOG_REGISTERS = 10  # 512 bytes, a standard error of 3.3 %


@dataclass(frozen=True)
class Categories:
    """The values of text or booleans.

    Args:
        counts: Rows by value, at least so many.
        error: So many more, at most, each of them may have had; 0: the counts are exact.
        distinct: The registers of HyperLogLog, None where they were left out: then `cardinality` is a lower bound.
        known: The least that `cardinality` says.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    error: int = 0
    distinct: hll_sketch | None = None
    known: int = 0

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Categories":
        """Take the number of rows by value; values beyond `LONGEST` are only counted among the distinct ones."""
        kept = {value: rows for value, rows in counts.items() if len(value) <= LONGEST}
        return _bounded(kept, 0, _registers(counts))

    @property
    def cardinality(self) -> float:
        """How many different values there were, estimated."""
        estimate = self.distinct.get_estimate() if self.distinct is not None else 0.0
        return max(float(estimate), float(len(self.counts)), float(self.known))

    def merge(self, other: "Categories") -> "Categories":
        """Return the counts of both."""
        counts = Counter(self.counts)
        counts.update(other.counts)
        known = max(self.known, other.known)
        return _bounded(counts, self.error + other.error, _union(self.distinct, other.distinct), known)

    def common(self, least: int) -> "Categories":
        """Leave the values seen at least `least` times and nothing by which a guess at another could be tested."""
        kept = {value: rows for value, rows in self.counts.items() if rows >= least}
        return Categories(kept, self.error, None, round(self.cardinality))

    def distinct_bytes(self) -> bytes:
        """Return the registers, empty without any."""
        return b"" if self.distinct is None else bytes(self.distinct.serialize_compact())


def read_distinct(content: bytes) -> hll_sketch | None:
    """Read what `Categories.distinct_bytes` returned.

    Raises:
        IntegrityError: It is no such thing.
    """
    try:
        return hll_sketch.deserialize(content) if content else None
    except (ValueError, RuntimeError, IndexError) as fault:
        raise IntegrityError(f"A count of distinct values is damaged: {fault}. Make the profile again.") from fault


def _bounded(counts: Mapping[str, int], error: int, distinct: hll_sketch | None, known: int = 0) -> Categories:
    if len(counts) > MOST:
        surplus = sorted(counts.values(), reverse=True)[MOST]
        counts = {value: rows - surplus for value, rows in counts.items() if rows > surplus}
        error += surplus
    return Categories(dict(counts), error, distinct, known)


def _registers(values: Iterable[str]) -> hll_sketch:
    sketch = hll_sketch(LOG_REGISTERS, tgt_hll_type.HLL_4)
    for value in values:
        sketch.update(value)
    return sketch


def _union(one: hll_sketch | None, other: hll_sketch | None) -> hll_sketch | None:
    if one is None or other is None:
        return None
    union = hll_union(LOG_REGISTERS)
    union.update(one)
    union.update(other)
    return union.get_result(tgt_hll_type.HLL_4)
