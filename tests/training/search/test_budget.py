"""The budget stays exact, whatever workers do and whenever they die."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from training.search.budget import (
    FAULT,
    GIVEN_BACK,
    fault_of,
    find_lost,
    has_place,
    is_settled,
    place_of,
    places_taken,
    reason_to_give_back,
)

pytestmark = pytest.mark.filterwarnings("ignore:RetryHeartbeat")


class Model:
    """Workers of one study, driven step by step: each holds at most one trial."""

    def __init__(self, budget: int, queued: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.budget = budget
        self.study = optuna.create_study(storage=InMemoryStorage(), sampler=optuna.samplers.RandomSampler(seed=1))
        for number in range(queued):
            self.study.enqueue_trial({"x": number})
        self.held: dict[int, optuna.Trial] = {}

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def claim(self, worker: int) -> None:
        """Ask, as a worker does that saw a place some time ago."""
        if worker not in self.held:
            self.held[worker] = self.study.ask()

    def judge_and_finish(self, worker: int, end: Callable[[optuna.Trial], Any]) -> None:
        trial = self.held.pop(worker, None)
        if trial is None:
            return
        reason = reason_to_give_back(self.trials, trial.number, self.budget)
        if reason is not None:
            trial.set_user_attr(GIVEN_BACK, [trial.number, reason])
            self.study.tell(trial, state=TrialState.FAIL)
            return
        trial.suggest_float("x", 0, 1000)
        end(trial)

    def complete(self, worker: int) -> None:
        self.judge_and_finish(worker, lambda trial: self.study.tell(trial, 1.0))

    def prune(self, worker: int) -> None:
        self.judge_and_finish(worker, lambda trial: self.study.tell(trial, state=TrialState.PRUNED))

    def fault(self, worker: int) -> None:
        def end(trial: optuna.Trial) -> None:
            trial.set_user_attr(FAULT, [trial.number, "raised"])
            self.study.tell(trial, state=TrialState.FAIL)

        self.judge_and_finish(worker, end)

    def die(self, worker: int) -> None:
        """Die while fitting; whoever asks next sees it, and gives the trial out again."""

        def end(trial: optuna.Trial) -> None:
            self.study.tell(trial, state=TrialState.FAIL)
            RetryHeartbeatStaleTrialCallback()(self.study, self.study.trials[trial.number])

        self.judge_and_finish(worker, end)

    def die_twice(self, worker: int) -> None:
        """Die, and so does the one that was about to give the trial out again."""
        self.judge_and_finish(worker, lambda trial: self.study.tell(trial, state=TrialState.FAIL))

    def start_again(self, _worker: int) -> None:
        """Give out what was lost, as a search does that is started again; two may do it at once."""
        for trial in find_lost(self.trials):
            for _ in range(2):
                RetryHeartbeatStaleTrialCallback()(self.study, trial)


STEPS = ("claim", "claim", "complete", "complete", "prune", "fault", "die", "die_twice", "start_again")


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 6), st.integers(0, 6), st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), max_size=40)
)
def test_exactly_the_budget_is_settled_and_no_queued_trial_is_lost_or_done_twice(
    budget: int, queued: int, steps: list[tuple[str, int]]
) -> None:
    queued = min(queued, budget)
    model = Model(budget, queued)
    for step, worker in steps:
        getattr(model, step)(worker)
        assert sum(map(is_settled, model.trials)) <= budget
    for worker in list(model.held):
        model.die(worker)
    model.start_again(0)
    while has_place(model.trials, budget):
        model.claim(0)
        model.complete(0)
    settled = [trial for trial in model.trials if is_settled(trial)]
    assert len(settled) == budget
    done = [trial.params["x"] for trial in settled if trial.params.get("x", 0.5).is_integer()]
    assert sorted(done) == list(range(queued))


def trial(number: int, state: TrialState = TrialState.COMPLETE, **attributes: Any) -> FrozenTrial:
    system = {"retry_history": attributes.pop("history")} if "history" in attributes else {}
    value = 1.0 if state == TrialState.COMPLETE else None
    made = optuna.create_trial(state=state, value=value, user_attrs=attributes, system_attrs=system)
    made.number = number
    return made


def test_a_copy_does_not_inherit_its_originals_fault() -> None:
    own = trial(3, TrialState.FAIL, fault=[3, "raised ValueError"])
    copied = trial(4, TrialState.FAIL, fault=[3, "raised ValueError"])
    assert fault_of(own) == "raised ValueError"
    assert is_settled(own)
    assert fault_of(copied) is None
    assert not is_settled(copied)


def test_places_are_taken_by_roots_and_kept_through_a_death() -> None:
    back = trial(1, TrialState.FAIL, given_back=[1, "surplus"])
    trials = [trial(0), back, trial(2, TrialState.RUNNING), trial(3, TrialState.FAIL), trial(4, TrialState.PRUNED)]
    assert [place_of(trials, number) for number in range(5)] == [0, 1, 1, 2, 3]
    assert places_taken(trials) == 4
    assert has_place(trials, 5)
    assert not has_place(trials, 4)
    copied = [*trials, trial(5, TrialState.WAITING, history=[3])]
    assert places_taken(copied) == 4
    assert place_of(copied, 5) == 2
    assert has_place(copied, 4)
    assert not has_place([trial(0), trial(1, TrialState.WAITING)], 1)


def test_a_surplus_claim_and_a_second_copy_are_given_back_with_the_reason() -> None:
    trials = [trial(0), trial(1, TrialState.FAIL), trial(2, TrialState.RUNNING, history=[1])]
    assert reason_to_give_back(trials, 2, 2) is None
    assert reason_to_give_back(trials, 2, 1) == "the budget of 1 trials is taken"
    second = [*trials, trial(3, TrialState.RUNNING, history=[1])]
    assert reason_to_give_back(second, 3, 9) == "trial 2 stands for trial 1 already"


def test_what_was_given_back_is_not_lost() -> None:
    trials = [trial(0, TrialState.FAIL), trial(1, TrialState.FAIL, given_back=[1, "surplus"]), trial(2, history=[0])]
    assert find_lost(trials) == []
    assert [lost.number for lost in find_lost(trials[:2])] == [0]
