"""The three verdicts."""

from enum import StrEnum


class Call(StrEnum):
    """What the evidence says."""

    PROMOTE = "promote"  # every gate of the step is open
    ROLL_BACK = "roll back"  # a guard finds the canary worse than the champion
    NOT_YET = "not yet"
