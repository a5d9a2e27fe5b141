"""What replayed policies were worth: loss and cost by day, differences with intervals, and which one is recommended.

A difference between two policies is taken row by row, since both answered the same rows; blocks of a week are its
independent units, because days hang together and policies share their versions for days.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy.special import stdtrit  # 0.2 s to import; scipy.stats takes 1.7 s

from flywheel.errors import UsageError
from flywheel.statistics import Floats, clustered_error
from flywheel.usecase import Costs
from monitoring.backtest.history import History
from monitoring.backtest.scene import Replayed

BLOCK = 7  # days
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Part:
    """A stretch of the replayed history: the rows from `start` up to `stop`, and the times of its ends."""

    name: str
    start: int
    stop: int
    begin: datetime
    end: datetime

    @classmethod
    def between(cls, name: str, history: History, begin: datetime, end: datetime) -> "Part":
        """Make the part of a history between two times."""
        return cls(name, history.place(begin), history.place(end), begin, end)

    def trainings(self, replayed: Replayed) -> int:
        """Count the trainings in it, the first of all not among them."""
        return sum(self.begin <= one.as_of < self.end for one in replayed.retrainings)


@dataclass(frozen=True)
class Difference:
    """A mean difference of losses, with its 95 % interval; negative: the first is better."""

    mean: float
    low: float
    high: float

    @property
    def is_within_chance(self) -> bool:
        """Whether the interval has 0 in it."""
        return self.low <= 0 <= self.high

    @property
    def gain(self) -> str:
        """The same for people, as what the first gains: above 0, it is better."""
        return f"{-self.mean:+z.4f} [{-self.high:+z.4f}, {-self.low:+z.4f}]"


@dataclass(frozen=True)
class Recommendation:
    """Which policy, and how it compares on the part on which it was not chosen.

    Attributes:
        policy: Its name.
        runner_up: The next best of those that could have been chosen; None: there was none.
        sentence: The whole for people.
        against: Differences on the report part to the runner-up, `weekly` and `never`, where they were replayed, and to
            the policy with the fewest trainings.
        share: Of the way from never to weekly that it goes on the report part; None without the two.
    """

    policy: str
    runner_up: str | None
    sentence: str
    against: dict[str, Difference]
    share: float | None


class Scores:
    """Losses and costs of every policy's rows.

    Args:
        history: The rows.
        replayed: Of the same stretch of it.
        first: Place of the first row that was answered.
        costs: For binary tasks: what wrong decisions cost; None: costs are not told.
    """

    def __init__(self, history: History, replayed: Sequence[Replayed], first: int, costs: Costs | None) -> None:
        self._history, self._first = history, first
        self.replayed = {one.policy.name: one for one in replayed}
        self._losses = {one.policy.name: history.losses(first, one.prediction) for one in replayed}
        self._costs = {
            one.policy.name: decision_costs(history.label[first : first + len(one.prediction)], one.prediction, costs)
            for one in replayed
            if costs is not None and history.task == "binary"
        }

    def loss(self, name: str, part: Part) -> float:
        """Return a policy's mean loss of a row in a part."""
        return float(self._losses[name][self._own(part)].mean())

    def cost(self, name: str, part: Part) -> float | None:
        """Return what a thousand decisions cost on average in a part; None where costs are not told."""
        return float(1000 * self._costs[name][self._own(part)].mean()) if name in self._costs else None

    def difference(self, name: str, other: str, part: Part) -> Difference:
        """Return the loss of one policy less that of another in a part."""
        own = self._own(part)
        return paired(
            self._losses[name][own] - self._losses[other][own], self._history.day[part.start : part.stop] // BLOCK
        )

    def share(self, name: str, part: Part) -> float | None:
        """Return how far a policy goes from `never` (0) to `weekly` (1) in a part; None without the two."""
        if not {"never", "weekly"} <= self.replayed.keys():
            return None
        worst, best = self.loss("never", part), self.loss("weekly", part)
        return None if worst == best else (worst - self.loss(name, part)) / (worst - best)

    def weekly_losses(self, name: str) -> tuple[Floats, Floats]:
        """Return the week of each mean (the days of its first rows since 1970), and the means."""
        losses = self._losses[name]
        week = self._history.day[self._first : self._first + len(losses)] // BLOCK
        place = week - week[0]
        rows = np.bincount(place)
        means = np.bincount(place, weights=losses)[rows > 0] / rows[rows > 0]
        return (np.flatnonzero(rows) + week[0]) * float(BLOCK), means

    def recommend(self, choose: Part, report: Part, most: int | None, *, only_servable: bool = False) -> Recommendation:
        """Choose the policy with the least loss on one part, and say what it did on the other.

        Args:
            choose: Nothing behind it is looked at to choose.
            report: Where figures come from.
            most: Trainings that may be made in both parts together; a policy that makes more on the first part than
                its share of the time cannot be chosen.
            only_servable: Whether policies that cannot be served yet are passed over.

        Raises:
            UsageError: None is left.
        """
        pace = math.inf if most is None else most * (choose.end - choose.begin) / (report.end - choose.begin)
        able = [
            name
            for name, one in self.replayed.items()
            if choose.trainings(one) <= pace and (one.policy.is_servable or not only_servable)
        ]
        if not able:
            raise UsageError("No policy keeps to what was asked. Replay 'never' as well, which trains nothing.")
        ranked = sorted(able, key=lambda name: (self.loss(name, choose), choose.trainings(self.replayed[name])))
        best, runner_up = ranked[0], ranked[1] if len(ranked) > 1 else None
        # `never` before others that trained as seldom, as `harm` may.
        cheapest = min(able, key=lambda name: (self._trainings(name, choose, report), name != "never"))
        others = dict.fromkeys(name for name in (runner_up, "weekly", "never", cheapest) if name in self.replayed)
        against = {name: self.difference(best, name, report) for name in others if name and name != best}
        said = f"'{best}' had the least loss until {choose.end:%Y-%m-%d} ({self.loss(best, choose):.4f})"
        if most is not None:
            said += f" of the policies that keep to {most} training{'' if most == 1 else 's'}"
        shown = [f"{one.gain} over {name}" for name, one in against.items()]
        sentence = f"{said}; afterwards its loss was {self.loss(best, report):.4f}"
        sentence += f", a gain of {', '.join(shown)}." if shown else "."
        if cheapest in against:
            made = [self._trainings(name, choose, report) for name in (best, cheapest)]
            sentence += doubt(against[cheapest], best, cheapest, made)
        if not self.replayed[best].policy.is_servable:
            served = next((name for name in ranked if self.replayed[name].policy.is_servable), None)
            sentence += " It cannot be served yet" + (f"; of those that can, '{served}' was best." if served else ".")
        return Recommendation(best, runner_up, sentence, against, self.share(best, report))

    def _trainings(self, name: str, choose: Part, report: Part) -> int:
        return choose.trainings(self.replayed[name]) + report.trainings(self.replayed[name])

    def _own(self, part: Part) -> slice:
        return slice(part.start - self._first, part.stop - self._first)


def doubt(difference: Difference, best: str, cheapest: str, trainings: Sequence[int]) -> str:
    """Say where a recommended policy's trainings bought nothing that chance does not explain; '' where they did.

    Args:
        difference: Of the losses of the recommended policy and of the one with the fewest trainings.
        best: The first's name.
        cheapest: The second's.
        trainings: Of the two, in both parts together.
    """
    many, few = trainings
    if few >= many or difference.high < 0:
        return ""
    means = f"with {few or 'no'} training{'' if few == 1 else 's'} where '{best}' makes {many}"
    if not difference.is_within_chance:
        return f" That is a loss: '{cheapest}' does better, {means}."
    return (
        f" Chance explains the difference from '{cheapest}' (its interval has 0 in it): as far as these rows tell, "
        f"'{cheapest}' does as well, {means}."
    )


def paired(differences: Floats, block: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Difference:
    """Return the mean of differences with an interval that takes blocks as the independent units.

    Args:
        differences: (n_rows,).
        block: (n_rows,), rising.
    """
    place = block - block[0]
    rows = np.bincount(place)
    totals = np.bincount(place, weights=differences).astype(np.float64)
    totals, rows = totals[rows > 0], rows[rows > 0]
    mean = float(differences.mean())
    if len(rows) < 2:
        return Difference(mean, -math.inf, math.inf)
    half = float(stdtrit(len(rows) - 1, 0.5 + CONFIDENCE / 2)) * clustered_error(totals, rows)
    return Difference(mean, mean - half, mean + half)


def decision_costs(label: Floats, probability: Floats, costs: Costs) -> Floats:
    """Return what the decision about each row cost, (n_rows,).

    A row is decided 1 where that costs less in expectation: at a probability above c_fp / (c_fp + c_fn) (Elkan 2001,
    The foundations of cost-sensitive learning, equation 2).
    """
    total = costs.false_positive + costs.false_negative
    threshold = costs.false_positive / total if total else 0.5
    decided = probability > threshold
    wrong = np.where(decided & (label < 0.5), costs.false_positive, 0.0)
    return np.where(~decided & (label > 0.5), costs.false_negative, wrong)
