"""Series of two equal-size arms, minute by minute: the sign of their difference, carried by the guard of counts.

Nothing is asked of the values but that, were the versions the same, either could have been the larger one. A minute in
which both are equal says nothing.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any

from deploy.verdict.guards import Guard
from deploy.verdict.schedule import Schedule


@dataclass(frozen=True)
class SignPlan:
    """What is fixed before the start.

    Args:
        minutes: Minutes after which all of alpha may have been spent.
        alpha: Probability of finding a canary worse, or differently dispersed, that is not.
    """

    minutes: int
    alpha: float = 0.05


@dataclass(frozen=True)
class Signs:
    """The sign test on the values: larger is worse."""

    guard: Guard = Guard()  # noqa: RUF009 - frozen, and so are its parts

    def take(self, plan: SignPlan, canary: float, baseline: float) -> tuple["Signs", bool]:
        """Take one minute's values; return the next state, and whether the canary is found worse."""
        guard, worse = _compared(self.guard, canary, baseline, plan.minutes, plan.alpha)
        return Signs(guard), worse

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"guard": self.guard.to_json()}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Signs":
        """Read what `to_json` wrote."""
        return cls(Guard.from_json(body["guard"]))


@dataclass(frozen=True)
class Dispersion:
    """The sign test on distances from the median of all earlier minutes, to both sides with half of α each.

    The median is of both arms and known before the minute, so that under "the same" either distance is as likely the
    larger one. It sees a series that only varies more, or less, which no comparison of levels does.

    Args:
        past: Values of both arms at the earlier minutes.
        more: Guard against "the canary varies no more".
        less: Guard against "the canary varies no less".
    """

    past: tuple[float, ...] = ()
    more: Guard = Guard()  # noqa: RUF009 - frozen, and so are its parts
    less: Guard = Guard()  # noqa: RUF009

    def take(self, plan: SignPlan, canary: float, baseline: float) -> tuple["Dispersion", bool]:
        """Take one minute's values; return the next state, and whether the dispersions are found to differ."""
        past = (*self.past, canary, baseline)
        if not self.past:
            return Dispersion(past, self.more, self.less), False
        centre = median(self.past)
        mine, theirs = abs(canary - centre), abs(baseline - centre)
        more, is_more = _compared(self.more, mine, theirs, plan.minutes, plan.alpha / 2)
        less, is_less = _compared(self.less, theirs, mine, plan.minutes, plan.alpha / 2)
        return Dispersion(past, more, less), is_more or is_less

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"past": list(self.past), "more": self.more.to_json(), "less": self.less.to_json()}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Dispersion":
        """Read what `to_json` wrote."""
        return cls(tuple(body["past"]), Guard.from_json(body["more"]), Guard.from_json(body["less"]))


def _compared(guard: Guard, first: float, second: float, minutes: int, alpha: float) -> tuple[Guard, bool]:
    # Few minutes are all there is: linear, so that five of five are enough.
    schedule = Schedule(minutes, pace=1.0, spending_share=0.8)
    return guard.take(int(first > second), int(second > first), 0.5, alpha=alpha, schedule=schedule)
