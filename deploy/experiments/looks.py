"""One look at an experiment: all that is known at its time, as JSON and as sums.

Looks are cumulative: each says everything again, because a unit that turns out to have been in two arms leaves its arm,
and so that the last look alone gives the last numbers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from deploy.experiments.adjusting import FOLDS
from deploy.experiments.measures import Strict
from deploy.experiments.sums import Sums

Count = Annotated[int, Field(ge=0, le=10**12)]
Value = Annotated[float, Field(ge=-1e12, le=1e12)]
Squares = Annotated[float, Field(ge=0, le=1e36)]


class SumsDocument(Strict):
    """Sums of one fold of an arm's units; see `deploy.experiments.sums.Sums`."""

    count: Count
    mean: Value = 0.0
    squares: Squares = 0.0
    covariate_mean: Value = 0.0
    covariate_squares: Squares = 0.0
    products: float = Field(0.0, ge=-1e36, le=1e36)


Folds = Annotated[tuple[SumsDocument, ...], Field(min_length=FOLDS, max_length=FOLDS)]


class ArmDocument(Strict):
    """One arm: the units that were assigned to it, and the sums of those that were measured, by metric and fold."""

    units: Count
    metrics: dict[str, Folds]


class LookDocument(Strict):
    """One look."""

    at: datetime | None = None
    days: float | None = Field(None, ge=0, description="Since the start.")
    arms: dict[str, ArmDocument]
    contaminated: Count = 0


@dataclass(frozen=True)
class Look:
    """One look.

    Args:
        at: When; None where units have no times.
        days: Since the start; None where units have no times.
        units: Units assigned, by arm.
        sums: Sums of the units measured, by metric, arm and fold.
        contaminated: Units that were seen in several arms, and are in none of these.
    """

    at: datetime | None
    days: float | None
    units: Mapping[str, int]
    sums: Mapping[str, Mapping[str, tuple[Sums, ...]]]
    contaminated: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        arms = {
            arm: {
                "units": units,
                "metrics": {name: [asdict(fold) for fold in by_arm[arm]] for name, by_arm in self.sums.items()},
            }
            for arm, units in self.units.items()
        }
        at = None if self.at is None else self.at.isoformat()
        return {"at": at, "days": self.days, "arms": arms, "contaminated": self.contaminated}

    @classmethod
    def of(cls, document: LookDocument) -> "Look":
        """Take a checked document."""
        names = {name: None for arm in document.arms.values() for name in arm.metrics}
        sums = {
            name: {
                arm: tuple(Sums(**fold.model_dump()) for fold in body.metrics[name])
                for arm, body in document.arms.items()
                if name in body.metrics
            }
            for name in names
        }
        units = {arm: body.units for arm, body in document.arms.items()}
        return cls(document.at, document.days, units, sums, document.contaminated)
