"""The rules that make a budget of trials exact, however many workers share a study and whichever of them die.

Every worker reads the same list of trials and judges by trial numbers, which Optuna hands out one by one. So all of
them reach the same answer without talking to each other:

    a copy        stands for the trial of a dead worker and carries its parameters; both have one root: the first
                  original's number
    a place       of the budget belongs to a root. A root gives it up only by being given back: neither by its worker's
                  death nor by a fit that raises, which would raise again
    given back    is a trial whose root has the budget's worth of places before it, or that another copy stands for
"""

from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

FAULT = "fault"  # user attribute: [trial number, why its fit raised]
GIVEN_BACK = "given_back"  # user attribute: [trial number, why]
HISTORY = "retry_history"  # Optuna's attribute of a copy: the numbers of the trials it stands for, the root first


def fault_of(trial: FrozenTrial) -> str | None:
    """Return why a trial's fit raised, else None."""
    reason = _own(trial, FAULT) if trial.state == TrialState.FAIL else None
    return None if reason is None else str(reason)


def is_settled(trial: FrozenTrial) -> bool:
    """Say whether a trial has ended in a way that uses its place up."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or fault_of(trial) is not None


def places_taken(trials: Sequence[FrozenTrial]) -> int:
    """Return how many places are taken: by what is settled, runs, waits, or is lost and will wait again."""
    return len(_holders(trials))


def place_of(trials: Sequence[FrozenTrial], number: int) -> int:
    """Return how many places are taken before that of the trial of that number."""
    root = _root(_numbered(trials, number))
    return sum(other < root for other in _holders(trials))


def has_place(trials: Sequence[FrozenTrial], budget: int) -> bool:
    """Say whether there is work to ask for: a place that nobody has taken, or a trial that waits in one."""
    holders = sorted(_holders(trials))
    within = set(holders[:budget])  # what waits beyond is left for a search that asks for more
    return len(holders) < budget or any(t.state == TrialState.WAITING and _root(t) in within for t in trials)


def reason_to_give_back(trials: Sequence[FrozenTrial], number: int, budget: int) -> str | None:
    """Return why the trial of that number must not be run, though a worker holds it; None when it may be."""
    if place_of(trials, number) >= budget:
        return f"the budget of {budget} trials is taken"
    root = _root(_numbered(trials, number))
    twins = (t.number for t in trials if t.number < number and _root(t) == root and (_is_alive(t) or is_settled(t)))
    twin = next(twins, None)
    return None if twin is None else f"trial {twin} stands for trial {root} already"


def find_lost(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return failed trials that nobody gave back and no copy stands for: their worker died at an unlucky moment."""
    stood_for = {number for trial in trials for number in trial.system_attrs.get(HISTORY, [])}
    return [trial for trial in trials if trial.number not in stood_for and _is_unexplained(trial)]


def _holders(trials: Sequence[FrozenTrial]) -> set[int]:
    """Return the roots that hold a place."""
    holding = (trial for trial in trials if _is_alive(trial) or is_settled(trial))
    return {_root(trial) for trial in (*holding, *find_lost(trials))}


def _is_alive(trial: FrozenTrial) -> bool:
    return not trial.state.is_finished()


def _is_unexplained(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and fault_of(trial) is None and _own(trial, GIVEN_BACK) is None


def _own(trial: FrozenTrial, key: str) -> Any:
    """Return what an attribute says of this very trial: a copy carries its original's attributes too."""
    number, what = trial.user_attrs.get(key, (None, None))
    return what if number == trial.number else None


def _root(trial: FrozenTrial) -> int:
    history = trial.system_attrs.get(HISTORY, [])
    return int(history[0]) if history else trial.number


def _numbered(trials: Sequence[FrozenTrial], number: int) -> FrozenTrial:
    return next(trial for trial in trials if trial.number == number)
