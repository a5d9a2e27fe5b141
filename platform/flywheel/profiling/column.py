"""The sketch of one column: how many rows, how many missing, and how the others are spread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flywheel.column_rules import ColumnType
from flywheel.errors import DataError
from flywheel.profile import MIN_SEEN
from flywheel.profiling.categories import Categories
from flywheel.profiling.quantiles import Quantiles
from flywheel.statistics import Floats

NAMED: tuple[ColumnType, ...] = ("string", "boolean")


@dataclass(frozen=True)
class ColumnSketch:
    """One column of some rows.

    Args:
        name: The column's.
        type: As the contract has it.
        rows: All of them, with a value or without.
        missing: Of these, how many have no value: null or not a number.
        unfit: Of the missing, how many had a value of another type.
        numbers: Of finite numbers and of times (seconds since 1970); None for text and booleans.
        categories: Of text and booleans; None for others.
    """

    name: str
    type: ColumnType
    rows: int
    missing: int
    unfit: int = 0
    numbers: Quantiles | None = None
    categories: Categories | None = None

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Of all rows, 0 to 1; 0 without rows."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def cardinality(self) -> float | None:
        """How many different values, estimated; None for numbers, where it is not counted."""
        return None if self.categories is None else self.categories.cardinality

    def share(self, category: str) -> float:
        """Return a value's share of all rows, 0 to 1."""
        if self.categories is None or not self.rows:
            return 0.0
        return self.categories.counts.get(category, 0) / self.rows

    def quantiles(self, ranks: Sequence[float] | Floats) -> Floats:
        """Return the quantiles at rising `ranks` from 0 to 1, (n,).

        Raises:
            DataError: The column is none of numbers.
        """
        if self.numbers is None:
            raise DataError(f"Column '{self.name}' holds {self.type} values, which have no quantiles. Ask for shares.")
        return self.numbers.at(ranks)

    def merge(self, other: "ColumnSketch") -> "ColumnSketch":
        """Return the sketch of both parts' rows.

        Raises:
            DataError: They are of different columns or types.
        """
        if (self.name, self.type) != (other.name, other.type):
            raise DataError(
                f"Column '{self.name}' ({self.type}) cannot be merged with '{other.name}' ({other.type}). "
                "Profile both with the same columns."
            )
        numbers = self.numbers.merge(other.numbers) if self.numbers and other.numbers else None
        categories = self.categories.merge(other.categories) if self.categories and other.categories else None
        return replace(
            self,
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            unfit=self.unfit + other.unfit,
            numbers=numbers,
            categories=categories,
        )

    def published(self) -> "ColumnSketch":
        """Return what may go into a package: no category value seen less than `MIN_SEEN` times."""
        if self.categories is None:
            return self
        return replace(self, categories=self.categories.common(MIN_SEEN))

    def counted(self) -> "ColumnSketch":
        """Return what is small enough to keep for every block of a package: without quantiles."""
        return replace(self.published(), numbers=None)
