"""The policy: each trigger and guard by example, and what must hold over any history, as properties."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.monitor_spec import Harm, Retrain
from monitoring.retraining.conditions import MONTH, wait_after
from monitoring.retraining.evidence import Attempt, End, Evidence, Looked
from monitoring.retraining.policy import RetrainDecision, decide, replay

START = datetime(2013, 5, 1)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
ONE_HARM = Retrain(harm=Harm(windows=1, of=1), cooldown=timedelta(0))


def weeks(*verdicts: str) -> tuple[Looked, ...]:
    return tuple(
        Looked(START + n * WEEK, START + (n + 1) * WEEK, START + (n + 1) * WEEK, verdict)
        for n, verdict in enumerate(verdicts)
    )


def after(*verdicts: str, attempts: tuple[Attempt, ...] = ()) -> Evidence:
    return Evidence(START + len(verdicts) * WEEK, weeks(*verdicts), attempts)


def guard(decision: RetrainDecision, name: str) -> bool:
    return next(one.met for one in decision.guards if one.name == name)


def test_harm_in_two_of_five_windows_with_the_newest_among_them_starts_a_training() -> None:
    decision = decide(after("harm", "quiet", "quiet", "quiet", "harm"), Retrain())
    assert (decision.start, decision.reason) == (True, "harm")
    assert "2 of the last 5 judged windows" in decision.sentence


@pytest.mark.parametrize(
    "verdicts",
    [
        ("quiet", "quiet", "quiet", "quiet", "harm"),
        ("harm", "harm", "quiet"),
        ("harm", "quiet", "quiet", "quiet", "quiet", "harm"),
        ("harm", "harm", "too few"),
    ],
)
def test_one_harm_harm_long_ago_and_harm_that_is_over_start_nothing(verdicts: tuple[str, ...]) -> None:
    decision = decide(after(*verdicts), Retrain())
    assert (decision.start, decision.reason) == (False, None)


def test_windows_that_share_days_count_once() -> None:
    def window(first: int) -> Looked:
        return Looked(START + first * DAY, START + first * DAY + WEEK, START + first * DAY + WEEK, "harm")

    overlapping = tuple(window(day) for day in range(6))
    assert decide(Evidence(START + 13 * DAY, overlapping), Retrain()).reason is None
    apart = (*overlapping, window(7))
    assert decide(Evidence(START + 14 * DAY, apart), Retrain()).reason == "harm"


def test_windows_that_decide_nothing_take_no_place_among_the_five() -> None:
    verdicts = ("harm", "too few", "too few", "too few", "too few", "too few", "harm")
    assert decide(after(*verdicts), Retrain()).start


def test_what_versions_before_the_last_training_answered_says_nothing_about_its_version() -> None:
    evidence = after("harm", "harm", "harm", attempts=(Attempt(START + 2 * WEEK + DAY, End.REGISTERED),))
    assert decide(evidence, Retrain(cooldown=timedelta(0))).reason is None
    failed = replace(evidence, attempts=(replace(evidence.attempts[0], end=End.FAILED),))
    assert decide(failed, Retrain(cooldown=timedelta(0))).start  # it failed six days ago, and the wait is two hours


def test_drift_without_harm_is_said_and_starts_nothing() -> None:
    decision = decide(replace(after("quiet"), drift="Column temp moved by 2 sd."), Retrain())
    assert not decision.start
    assert decision.is_news
    assert "Column temp moved by 2 sd. Drift without harm starts nothing." in decision.sentence


def test_age_and_new_labels_start_a_training_without_harm() -> None:
    evidence = replace(after("quiet"), trained_at=START - 23 * DAY, new_labels=500)
    assert decide(evidence, Retrain(max_age=30 * DAY)).reason == "age"
    assert decide(evidence, Retrain(max_age=31 * DAY)).next_at == START + 8 * DAY
    assert decide(evidence, Retrain(new_labels=500)).reason == "new_labels"
    assert decide(evidence, Retrain(new_labels=501)).reason is None


def test_a_running_one_blocks_and_one_that_died_does_not_for_ever() -> None:
    running = decide(after("harm", attempts=(Attempt(START - 90 * DAY, End.RUNNING),)), ONE_HARM)
    assert (running.start, running.next_at) == (False, None)
    assert "one at a time" in running.sentence
    died = decide(after("harm", attempts=(Attempt(START - 90 * DAY, End.DIED),)), ONE_HARM)
    assert died.start
    assert "died without a word" in str(died.alert)


def test_failures_double_the_wait_and_ask_for_an_alert_and_a_success_ends_that() -> None:
    policy = Retrain(harm=Harm(windows=1, of=1), cooldown=2 * DAY, max_per_month=99)
    failed = tuple(Attempt(START + n * DAY, End.FAILED) for n in range(3))
    decision = decide(after("harm", attempts=failed), policy)
    assert decision.next_at == START + 2 * DAY + 16 * DAY
    assert "failed 3 times in a row" in str(decision.alert)
    better = (*failed, Attempt(START - DAY, End.REGISTERED))
    assert decide(after("harm", attempts=better), policy).alert is None


def test_a_refusal_counts_as_a_failure_and_its_alert_says_why() -> None:
    policy = Retrain(harm=Harm(windows=1, of=1), cooldown=2 * DAY)
    refused = decide(after("harm", attempts=(Attempt(START + 6 * DAY, End.REFUSED, "Another commit."),)), policy)
    assert (refused.start, refused.next_at) == (False, START + 10 * DAY)
    assert str(refused.alert).startswith("The retraining as of 2013-05-07 was refused: Another commit.")
    assert replay(json.loads(json.dumps(refused.body()))) == refused


def test_harm_that_meets_a_spent_budget_asks_for_an_alert() -> None:
    spent = decide(
        after("harm", attempts=(Attempt(START - 90 * DAY, End.REGISTERED),)),
        Retrain(harm=Harm(windows=1, of=1), max_total=1),
    )
    assert (spent.start, spent.next_at) == (False, None)
    assert "budget of 1 retrainings is spent" in str(spent.alert)


def test_the_cooldown_is_over_to_the_second() -> None:
    policy = Retrain(harm=Harm(windows=1, of=1), cooldown=10 * DAY)
    evidence = replace(after("harm"), attempts=(Attempt(START - DAY, End.REGISTERED),))
    early = decide(replace(evidence, now=START + 9 * DAY - timedelta(seconds=1)), policy)
    assert (early.start, early.next_at) == (False, START + 9 * DAY)
    assert decide(replace(evidence, now=START + 9 * DAY), policy).start


def test_the_monthly_budget_says_when_the_next_may_start() -> None:
    attempts = (Attempt(START - 10 * DAY, End.REGISTERED), Attempt(START - 5 * DAY, End.REGISTERED))
    policy = Retrain(harm=Harm(windows=1, of=1), cooldown=timedelta(0), max_per_month=2)
    decision = decide(after("harm", attempts=attempts), policy)
    assert not decision.start
    assert decision.next_at == START + 20 * DAY
    assert decide(replace(after("harm", attempts=attempts), now=START + 20 * DAY), policy).start


days = st.integers(0, 400).map(lambda n: START + n * DAY)
policies = st.builds(
    Retrain,
    harm=st.sampled_from([Harm(windows=1, of=1), Harm(windows=2, of=5), Harm(windows=3, of=4)]),
    max_age=st.none() | st.integers(1, 90).map(lambda n: n * DAY),
    new_labels=st.none() | st.integers(1, 5000),
    cooldown=st.integers(0, 40).map(lambda n: n * DAY),
    max_per_month=st.integers(1, 6) | st.just(0),
    max_total=st.none() | st.integers(0, 9),
)
steps = st.lists(
    st.tuples(
        st.integers(0, 14),  # days to the next look
        st.sampled_from(["harm", "harm", "harm", "quiet", "too few"]),
        st.sampled_from([End.REGISTERED, End.REGISTERED, End.FAILED, End.REFUSED, End.DIED]),
        st.integers(0, 2),  # looks that it runs
    ),
    min_size=15,
    max_size=40,
)


def lived(policy: Retrain, looks: list[tuple[int, str, End, int]]) -> list[RetrainDecision]:
    """Play a history; every started training runs for some looks and ends in its own way."""
    now, running = START, 0
    windows: list[Looked] = []
    attempts: list[Attempt] = []
    found: list[RetrainDecision] = []
    trained_at, end = START, End.REGISTERED
    for gap, verdict, outcome, length in looks:
        now += gap * DAY
        windows.append(Looked(now - WEEK, now, now, verdict))
        if attempts and attempts[-1].end == End.RUNNING:
            running -= 1
            if running < 0:
                attempts[-1] = replace(attempts[-1], end=end)
                trained_at = attempts[-1].as_of if end == End.REGISTERED else trained_at
        known = Evidence(now, tuple(windows), tuple(attempts), trained_at, 100 * (now - trained_at).days)
        decision = decide(known, policy)
        found.append(decision)
        if decision.start:
            attempts.append(Attempt(now, End.RUNNING))
            running, end = length, outcome
    return found


@given(policies, steps)
def test_whatever_happens_budgets_cooldown_and_single_flight_hold(
    policy: Retrain, looks: list[tuple[int, str, End, int]]
) -> None:
    decisions = lived(policy, looks)
    started = [decision.evidence.now for decision in decisions if decision.start]
    assert policy.max_total is None or len(started) <= policy.max_total
    assert all(later - earlier >= policy.cooldown for earlier, later in pairwise(started))
    assert all(sum(now - MONTH < one <= now for one in started) <= policy.max_per_month for now in started)
    for decision in decisions:
        running = any(attempt.end == End.RUNNING for attempt in decision.evidence.attempts)
        assert not (decision.start and running)
        assert not decision.start or decision.reason is not None


@given(policies, steps)
def test_a_failure_keeps_the_next_one_waiting_twice_the_cooldown(
    policy: Retrain, looks: list[tuple[int, str, End, int]]
) -> None:
    for decision in lived(policy, looks):
        attempts = decision.evidence.attempts
        if decision.start and attempts and attempts[-1].end in (End.FAILED, End.REFUSED, End.DIED):
            assert decision.evidence.now - attempts[-1].as_of >= wait_after(1, policy)
            assert decision.alert is not None


@given(policies, steps)
def test_a_recorded_decision_is_made_again_from_its_record(
    policy: Retrain, looks: list[tuple[int, str, End, int]]
) -> None:
    for decision in lived(policy, looks):
        body = decision.body()
        assert replay(json.loads(json.dumps(body))).body() == body


@given(policies, steps)
def test_what_blocks_only_by_time_is_open_at_the_time_it_names(
    policy: Retrain, looks: list[tuple[int, str, End, int]]
) -> None:
    for decision in lived(policy, looks):
        if decision.reason is not None and decision.next_at is not None:
            later = decide(replace(decision.evidence, now=decision.next_at), policy)
            assert all(one.met for one in later.guards)
            if decision.next_at > decision.evidence.now:
                early = decide(replace(decision.evidence, now=decision.next_at - timedelta(seconds=1)), policy)
                assert not early.start


@given(policies, steps)
def test_without_harm_age_or_labels_nothing_starts_however_much_drifts(
    policy: Retrain, looks: list[tuple[int, str, End, int]]
) -> None:
    quiet = policy.model_copy(update={"max_age": None, "new_labels": None})
    calm = tuple(Looked(START + n * WEEK, START + (n + 1) * WEEK, START, "quiet") for n, _ in enumerate(looks))
    decision = decide(Evidence(START + 500 * DAY, calm, drift="Everything moved."), quiet)
    assert not decision.start
    assert all(guard(decision, name) for name in ("running", "cooldown", "backoff"))
