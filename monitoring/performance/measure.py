"""By what a task's answers are judged: the loss of a row, as people name and read it."""

import math
from dataclasses import dataclass

from flywheel.usecase import Task

DIGITS = 4


@dataclass(frozen=True)
class Measure:
    """A loss that `flywheel.statistics.row_losses` gives.

    Attributes:
        name: As `flywheel.profile.Reference.loss_name` has it.
        title: At the start of a sentence.
        axis: On a picture.
        relative: Whether the margin of a use case is a share of the reference, because the loss has the square of the
            label's unit and no size of its own.
    """

    name: str
    title: str
    axis: str
    relative: bool

    def tolerated(self, margin: float, reference: float) -> float:
        """Return the rise over the reference that a margin tolerates, in units of the loss."""
        return margin * reference if self.relative else margin

    def text(self, value: float, *, sign: bool = False) -> str:
        """Write a loss or a difference of losses: four decimals of nats, four digits of anything else."""
        plus = "+" if sign else ""
        decimals = DIGITS if not self.relative else _decimals(value)
        return f"{value:{plus},.{decimals}f}"


def _decimals(value: float) -> int:
    if not math.isfinite(value) or value == 0:
        return 0
    return min(max(DIGITS - 1 - math.floor(math.log10(abs(value))), 0), 12)


LOG_LOSS = Measure("log_loss", "Log-loss", "log-loss (nats a row)", relative=False)
SQUARED_ERROR = Measure("squared_error", "Squared error", "squared error (mean of a day)", relative=True)
MEASURES: dict[Task, Measure] = {"binary": LOG_LOSS, "multiclass": LOG_LOSS, "regression": SQUARED_ERROR}
