"""What is replayed: ways to retrain, by name; each is a use case's own `monitor.retrain`, and how versions are used."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flywheel.errors import UsageError
from flywheel.monitor_spec import Recalibrate, Retrain
from flywheel.usecase import Task
from monitoring.backtest.history import DAY
from monitoring.retraining.recalibration import Recalibration

# A rise of the loss that nobody tolerates, so that harm starts nothing and no version needs a reference.
NO_HARM = 1e9
ALWAYS = timedelta(0)


@dataclass(frozen=True)
class Ensemble:
    """Answers of the newest versions, mixed.

    Attributes:
        members: How many versions answer together.
        newcomer: Share of the newest, 0 to 1.
        is_adaptive: Whether the others' shares follow their recent losses; else they stay as they are.
        turns: Trainings take turns in how they choose rows; empty: all as the policy says.
    """

    members: int
    newcomer: float
    is_adaptive: bool = True
    turns: tuple[Retrain, ...] = ()


@dataclass(frozen=True)
class Policy:
    """One way to retrain.

    Attributes:
        name: In tables and on the command line.
        retrain: As a use case would say it; decides when, and on which rows.
        ensemble: None: the newest version answers alone.
        recalibration: None: versions answer as they were trained.
    """

    name: str
    retrain: Retrain
    ensemble: Ensemble | None = None
    recalibration: Recalibration | None = None

    @property
    def watches_harm(self) -> bool:
        """Whether its windows have to be judged."""
        return self.retrain.margin < NO_HARM

    @property
    def is_servable(self) -> bool:
        """Whether a use case can have it as things stand.

        A package holds one version; what moves its answers is bounded, which only log-odds are (`monitor.recalibrate`).
        """
        return self.ensemble is None and (self.recalibration is None or math.isfinite(self.recalibration.most))

    def rows_of(self, number: int) -> Retrain:
        """Return what chooses the rows of a policy's training, counted from 0."""
        turns = self.ensemble.turns if self.ensemble else ()
        return turns[number % len(turns)] if turns else self.retrain


def calendar(days: int, most: int | None = None) -> Retrain:
    """Return a policy that trains every so many days, whatever happens."""
    return Retrain(margin=NO_HARM, max_age=days * DAY, cooldown=ALWAYS, max_per_month=31, max_total=most)


def standard(own: Retrain, task: Task = "binary", served: Recalibrate | None = None) -> dict[str, Policy]:
    """Return the policies that everybody is shown, by name.

    Args:
        own: The use case's.
        served: The use case's `monitor.recalibrate`; None: one with its defaults is shown.
        task: Several classes have no one number that could change or be corrected, so they get fewer.
    """
    month = calendar(30)
    daily = Recalibration.of(served or Recalibrate()) if task == "binary" else Recalibration()
    found = [
        Policy("never", Retrain(margin=NO_HARM, max_total=0)),
        Policy("monthly", month),
        Policy("weekly", calendar(7)),
        Policy("harm", own),
        Policy("monthly, newer rows weigh more", month.model_copy(update={"rows": "weighted", "half_life": 60 * DAY})),
        Policy("monthly, adaptive ensemble", month, Ensemble(members=4, newcomer=0.5)),
        Policy("monthly, long and short memory", month, long_and_short(month, 60)),
    ]
    if task != "multiclass":
        found += [
            Policy("monthly, since the last change", month.model_copy(update={"rows": "change_point"})),
            Policy("monthly, recalibrated each day", month, recalibration=daily),
        ]
    return {policy.name: policy for policy in found}


def long_and_short(retrain: Retrain, days: int) -> Ensemble:
    """Return an ensemble of the last two versions, of which in turn one knows everything and one the last days."""
    short = retrain.model_copy(update={"rows": "sliding", "length": days * DAY})
    return Ensemble(members=2, newcomer=2 / 3, is_adaptive=False, turns=(retrain, short))


def chosen(names: Sequence[str], known: dict[str, Policy]) -> list[Policy]:
    """Return the policies of these names: those known, and `every N days`.

    Raises:
        UsageError: There is none of a name.
    """
    return [known[name] if name in known else _every(name, known) for name in names]


def _every(name: str, known: dict[str, Policy]) -> Policy:
    words = name.split()
    if len(words) == 3 and (words[0], words[2]) == ("every", "days") and words[1].isdecimal() and int(words[1]):
        return Policy(name, calendar(int(words[1])))
    raise UsageError(f"There is no policy '{name}'. Choose of: {'; '.join(known)}; every N days.")
