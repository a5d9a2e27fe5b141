"""How the data under two versions differ: columns and features that came, went or changed type, and distributions.

A column's shift is one number from 0 to 1, so that the largest can come first: for numbers the mean distance between
the two quantile functions, in units of the range that the champion's middle 98 % span (the first Wasserstein distance,
scaled); for categories half the sum of the shares' differences (total variation). It describes, and tests nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from flywheel.contract import Contract
from flywheel.profile import DataColumn, DataProfile
from registry.review.evaluation import read_json

Model = TypeVar("Model", Contract, DataProfile)
LARGE, MODERATE, NOTHING = 0.25, 0.1, 0.0005  # the last is 0.0 % as it is written
SHARES_SHOWN = 4


@dataclass(frozen=True)
class ColumnChange:
    """A column of the request's contract that is not as the champion's; `what` is added, removed or changed."""

    name: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Spread:
    """Where a number's values lie: 5 %, 50 % and 95 % quantile, and the mean of all of them."""

    low: float
    middle: float
    high: float
    mean: float


@dataclass(frozen=True)
class Shift:
    """How far one column moved.

    Args:
        name: The column.
        size: 0 to 1, see above; a missing share that moved further counts.
        champion: Its spread under the champion; None for categories.
        candidate: Its spread under the candidate.
        shares: Category, champion's share, candidate's share: those that moved most.
        missing: Champion's and candidate's share of missing values.
    """

    name: str
    size: float
    champion: Spread | None
    candidate: Spread | None
    shares: tuple[tuple[str, float, float], ...]
    missing: tuple[float, float]

    @property
    def word(self) -> str:
        """How large it is, as a word."""
        if self.size < NOTHING:
            return "none"
        return "large" if self.size >= LARGE else "moderate" if self.size >= MODERATE else "small"


def read_contract(document: bytes | None) -> Contract | None:
    """Read a `contract.json`; None for what is none."""
    return _read(Contract, document)


def read_data_profile(document: bytes | None) -> DataProfile | None:
    """Read a `data_profile.json`; None for what is none."""
    return _read(DataProfile, document)


def _read(model: type[Model], document: bytes | None) -> Model | None:
    if document is None:
        return None
    try:
        return model.model_validate_json(document)
    except ValidationError:
        return None


def column_changes(candidate: Contract, champion: Contract) -> list[ColumnChange]:
    """Compare what a request must look like."""
    ours, theirs = _columns(candidate), _columns(champion)
    added = [ColumnChange(name, "added", "", ours[name]) for name in ours if name not in theirs]
    removed = [ColumnChange(name, "removed", theirs[name], "") for name in theirs if name not in ours]
    changed = [
        ColumnChange(name, "changed", theirs[name], ours[name])
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    return [*added, *removed, *changed]


def _columns(contract: Contract) -> dict[str, str]:
    return {column.name: f"{column.type}{', may be null' if column.nullable else ''}" for column in contract.columns}


def features(encoding: bytes | None) -> list[str]:
    """Return the names of the features, in the model's order, from an `encoding.json`."""
    rows = read_json(b'{"features": ' + encoding + b"}").get("features") if encoding else None
    return (
        [str(row["name"]) for row in rows if isinstance(row, dict) and "name" in row] if isinstance(rows, list) else []
    )


def shifts(candidate: DataProfile, champion: DataProfile) -> list[Shift]:
    """Compare the columns that both have, the largest shift first; times are left out, which always move on."""
    theirs = {column.name: column for column in champion.columns}
    found = [_shift(column, theirs[column.name]) for column in candidate.columns if column.name in theirs]
    return sorted((one for one in found if one is not None), key=lambda one: -one.size)


def _shift(ours: DataColumn, theirs: DataColumn) -> Shift | None:
    if ours.type == "datetime" or theirs.type != ours.type:
        return None
    missing = (theirs.missing_share, ours.missing_share)
    moved = abs(missing[1] - missing[0])
    if ours.quantiles and theirs.quantiles:
        size = max(moved, _distance(ours.quantiles, theirs.quantiles))
        return Shift(ours.name, size, _spread(theirs.quantiles), _spread(ours.quantiles), (), missing)
    size = max(moved, _variation(ours.categories, theirs.categories))
    return Shift(ours.name, size, None, None, _shares(ours.categories, theirs.categories), missing)


def _distance(ours: tuple[float, ...], theirs: tuple[float, ...]) -> float:
    if len(ours) != len(theirs) or len(ours) < 3:  # both ends are left out
        return 0.0
    inner = list(zip(ours[1:-1], theirs[1:-1], strict=True))
    span = theirs[-2] - theirs[1] or theirs[-1] - theirs[0] or 1.0
    return min(sum(abs(a - b) for a, b in inner) / len(inner) / span, 1.0)


def _spread(quantiles: tuple[float, ...]) -> Spread:
    last = len(quantiles) - 1
    low, middle, high = (quantiles[round(share * last)] for share in (0.05, 0.5, 0.95))
    return Spread(low, middle, high, sum(quantiles) / len(quantiles))


def _variation(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    return sum(abs(ours.get(name, 0.0) - theirs.get(name, 0.0)) for name in {*ours, *theirs}) / 2


def _shares(ours: Mapping[str, float], theirs: Mapping[str, float]) -> tuple[tuple[str, float, float], ...]:
    rows = [(name, theirs.get(name, 0.0), ours.get(name, 0.0)) for name in sorted({*ours, *theirs})]
    return tuple(sorted(rows, key=lambda row: -abs(row[2] - row[1]))[:SHARES_SHOWN])
