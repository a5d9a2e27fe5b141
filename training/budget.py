"""The rules that make a budget of trials exact, however many workers share a study and whichever of them die.

Every worker reads the same list of trials and judges by trial numbers, which Optuna hands out one by one. So all of
them reach the same answer without talking to each other:

    a trial counts       unless it failed; one whose fit raised counts, because fitting it again would raise again
    its place            is the number of counting trials before it; a place beyond the budget is given back
    a dead worker's      trial fails, and a copy of it with the same parameters waits to be run
"""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

FAULT = "fault"  # user attribute: [trial number, why its fit raised]
GIVEN_BACK = "given_back"  # user attribute: [trial number, why]
HISTORY = "retry_history"  # Optuna's attribute of a copy: the numbers of the trials it stands for


def fault_of(trial: FrozenTrial) -> str | None:
    """Return why a trial's fit raised, else None. A copy carries its original's attributes: they do not count."""
    number, reason = trial.user_attrs.get(FAULT, (None, None))
    return reason if number == trial.number and trial.state == TrialState.FAIL else None


def counts(trial: FrozenTrial) -> bool:
    """Say whether a trial takes a place of the budget."""
    return trial.state != TrialState.FAIL or fault_of(trial) is not None


def is_settled(trial: FrozenTrial) -> bool:
    """Say whether a trial takes a place and has ended."""
    return counts(trial) and trial.state.is_finished()


def place_of(trials: Sequence[FrozenTrial], number: int) -> int:
    """Return how many counting trials come before the trial of that number."""
    return sum(counts(trial) for trial in trials if trial.number < number)


def has_place(trials: Sequence[FrozenTrial], budget: int) -> bool:
    """Say whether there is work to ask for: a trial that waits, or a place that nobody has taken."""
    waiting = any(trial.state == TrialState.WAITING for trial in trials)
    return waiting or sum(map(counts, trials)) < budget


def reason_to_give_back(trials: Sequence[FrozenTrial], number: int, budget: int) -> str | None:
    """Return why the trial of that number must not be run, though a worker holds it; None when it may be."""
    if place_of(trials, number) >= budget:
        return f"the budget of {budget} trials is taken"
    own = next((_original(trial) for trial in trials if trial.number == number), None)
    twins = (t.number for t in trials if own is not None and _original(t) == own and t.number < number and counts(t))
    twin = next(twins, None)
    return None if twin is None else f"trial {twin} stands for trial {own} already"


def find_lost(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return failed trials that nobody gave back and no copy stands for: their worker died at an unlucky moment."""
    stood_for = {number for trial in trials for number in trial.system_attrs.get(HISTORY, [])}
    return [
        trial
        for trial in trials
        if not counts(trial)
        and trial.number not in stood_for
        and trial.user_attrs.get(GIVEN_BACK, [None])[0] != trial.number
    ]


def _original(trial: FrozenTrial) -> int | None:
    history = trial.system_attrs.get(HISTORY, [])
    return history[-1] if history else None
