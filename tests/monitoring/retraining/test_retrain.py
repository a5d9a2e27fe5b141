"""Cooldown and budget as a state machine over events, and the command that is run."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import UsageError
from flywheel.events import Event, EventKind
from flywheel.monitor_spec import Retrain
from flywheel.usecase import Data, Label, Source, UseCase
from monitoring.retraining.retrain import Retraining, command_of, may_retrain, project_folder

START = datetime(2013, 5, 2)
USE_CASE = UseCase(
    name="flights-delay",
    data=Data(source=Source(kind="python", path="source.py"), event_time="time", label=Label(column="late")),
)


def started(as_of: datetime, seq: int = 1, kind: EventKind = EventKind.RETRAIN_STARTED) -> Event:
    return Event(seq, kind, "flights", "svc-monitoring", datetime.now(UTC), {"as_of": as_of.isoformat()}, "", "")


def test_the_first_harm_may_retrain() -> None:
    assert may_retrain([], START, Retrain()).allowed


def test_the_cooldown_runs_on_simulated_time() -> None:
    events, policy = [started(START)], Retrain(cooldown=timedelta(days=30), max_total=5)
    early = may_retrain(events, START + timedelta(days=29), policy)
    assert not early.allowed
    assert "cooldown until 2013-06-01" in early.reason
    assert may_retrain(events, START + timedelta(days=30), policy).allowed


def test_the_budget_counts_failed_retrainings_too() -> None:
    events = [started(START), started(START + timedelta(days=40))]
    events.append(started(START, kind=EventKind.RETRAIN_FINISHED))
    spent = may_retrain(events, START + timedelta(days=400), Retrain(max_total=2))
    assert not spent.allowed
    assert "budget of 2" in spent.reason


def test_a_window_that_is_checked_late_does_not_train_on_less_than_was_known_before() -> None:
    assert not may_retrain([started(START)], START - timedelta(days=300), Retrain(max_total=5)).allowed


@given(
    harms=st.lists(st.integers(0, 400), max_size=40),
    cooldown=st.integers(0, 60),
    budget=st.integers(0, 6),
)
def test_whatever_the_order_of_harms_budget_and_cooldown_hold(harms: list[int], cooldown: int, budget: int) -> None:
    policy = Retrain(cooldown=timedelta(days=cooldown), max_total=budget)
    events: list[Event] = []
    for day in harms:
        moment = START + timedelta(days=day)
        events.append(started(moment, kind=EventKind.MONITOR_WINDOW))
        if may_retrain(events, moment, policy).allowed:
            events.append(started(moment))
    starts = [event for event in events if event.kind is EventKind.RETRAIN_STARTED]
    times = [datetime.fromisoformat(event.body["as_of"]) for event in starts]
    assert len(times) <= budget
    assert all(later - earlier >= policy.cooldown for earlier, later in pairwise(times))
    assert len(times) > 0 or not harms or budget == 0


def test_the_command_is_what_a_person_would_type_in_the_projects_folder(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text("name: p\n")
    file = tmp_path / "examples" / "flights" / "usecase.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    assert project_folder(file) == tmp_path
    command = command_of(Retraining(file, USE_CASE, START, "harm"), tmp_path)
    assert command[1:] == [
        "-m", "mlflow", "run", ".", "--env-manager", "local", "--experiment-name", "flights-delay",
        "-P", "usecase=examples/flights/usecase.yaml", "-P", "as_of=2013-05-02T00:00:00",
    ]  # fmt: skip


def test_a_use_case_outside_a_project_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--no-start-training"):
        project_folder(tmp_path / "usecase.yaml")
