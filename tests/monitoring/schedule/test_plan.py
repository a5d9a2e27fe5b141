"""The schedule on a real Postgres: kept, caught up once, never two looks at one use case at the same time."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from flywheel.alerts import read_board
from flywheel.connections import secrets
from flywheel.errors import UsageError
from flywheel.settings import Settings
from flywheel.usecase import load_usecase
from monitoring.cli import app
from monitoring.schedule.look import LookFailedError, look
from monitoring.schedule.plan import FIRST, open_schedule
from monitoring.schedule.resident import run

EXAMPLE = Path(__file__).parents[3] / "examples" / "seattle-rain" / "usecase.yaml"


@pytest.fixture
def engine(stack: Settings) -> Iterator[sa.Engine]:
    made = sa.create_engine(secrets(stack).databases["monitoring"])
    yield made
    made.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "usecase.yaml"
    made.write_text(EXAMPLE.read_text().replace("name: seattle-rain", f"name: rain-{uuid.uuid4().hex[:8]}"))
    return made


@pytest.fixture(autouse=True)
def _nothing_is_left(stack: Settings) -> Iterator[None]:
    yield
    with open_schedule(stack) as schedule:
        for one in schedule.planned():
            schedule.remove(one.name)


def until(found: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)


def test_what_is_planned_is_there_for_the_next_process_and_can_be_changed(stack: Settings, file: Path) -> None:
    use_case = load_usecase(file)
    with open_schedule(stack) as schedule:
        planned = schedule.add(use_case, file)
        schedule.add(use_case, file)
    assert planned.every == timedelta(days=1)
    with open_schedule(stack) as schedule:
        (kept,) = schedule.planned()
        assert kept == planned
        assert kept.next is not None
        assert (kept.next.hour, kept.next.minute) == (0, 0)
        assert kept.next > datetime.now(UTC)
        schedule.pause(use_case.name)
        assert schedule.planned()[0].next is None
        assert schedule.resume(use_case.name).next == planned.next
        now = datetime.now(UTC)
        assert schedule.run(use_case.name, now).next == now
        schedule.remove(use_case.name)
        assert schedule.planned() == []


def test_what_is_not_planned_is_named_with_what_is(stack: Settings, file: Path) -> None:
    with open_schedule(stack) as schedule:
        schedule.add(load_usecase(file), file)
        for change in (schedule.remove, schedule.pause, schedule.resume, lambda name: schedule.run(name, FIRST)):
            with pytest.raises(UsageError, match=r"'nowhere' is not on the schedule; rain-\w+ is"):
                change("nowhere")


def test_a_time_below_a_minute_is_refused(stack: Settings, file: Path) -> None:
    file.write_text(file.read_text().replace("monitor: {", "monitor: {every: 30s, "))
    with open_schedule(stack) as schedule, pytest.raises(UsageError, match="a minute is the least"):
        schedule.add(load_usecase(file), file)


LOOKED: list[tuple[float, float]] = []


def counted(home: str, file: str) -> None:
    """Take half a second for a look."""
    began = time.monotonic()
    time.sleep(0.5)
    LOOKED.append((began, time.monotonic()))


def test_looks_missed_for_days_are_caught_up_once_and_none_runs_beside_another(
    stack: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LOOKED.clear()
    monkeypatch.setattr("monitoring.schedule.plan.LOOK", f"{__name__}:counted")
    use_case = load_usecase(file)
    with open_schedule(stack) as schedule:
        schedule.add(use_case, file)
        schedule.run(use_case.name, datetime.now(UTC) - timedelta(days=3))  # the stack was down since
    stop = threading.Event()
    resident = threading.Thread(target=run, args=(stack, stop, 0.1))
    resident.start()
    try:
        until(lambda: LOOKED)
        with open_schedule(stack) as other:  # another process asks for two more while it runs
            for _ in range(2):
                other.run(use_case.name, datetime.now(UTC))
                until(lambda: other.planned()[0].next > datetime.now(UTC) + timedelta(minutes=1))  # type: ignore[operator]
        until(lambda: len(LOOKED) >= 2)
    finally:
        stop.set()
        resident.join(30)
    assert not resident.is_alive()
    assert len(LOOKED) in {2, 3}
    assert all(before[1] <= after[0] for before, after in pairwise(LOOKED))
    with open_schedule(stack) as schedule:  # and the next comes at midnight again
        following = schedule.planned()[0].next
    assert following is not None
    assert (following.hour, following.minute, following.second) == (0, 0, 0)


def test_a_look_at_what_is_paused_comes_once_and_leaves_it_paused(
    stack: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LOOKED.clear()
    monkeypatch.setattr("monitoring.schedule.plan.LOOK", f"{__name__}:counted")
    name = load_usecase(file).name
    with open_schedule(stack) as schedule:
        schedule.add(load_usecase(file), file)
        schedule.pause(name)
        for _ in range(3):  # asked for thrice before anybody looks
            assert schedule.run(name, datetime.now(UTC)).next is None
        assert [one.name for one in schedule.planned()] == [name]
    stop = threading.Event()
    resident = threading.Thread(target=run, args=(stack, stop, 0.1))
    resident.start()
    try:
        until(lambda: LOOKED)
    finally:
        stop.set()
        resident.join(30)
    assert len(LOOKED) == 1
    with open_schedule(stack) as schedule:
        assert schedule.planned()[0].next is None
        schedule.run(name, datetime.now(UTC))
        schedule.remove(name)  # and the look that was asked for with it
        assert schedule.planned() == []
        assert schedule._scheduler.get_jobs() == []


def test_of_two_programs_one_leads_and_the_other_takes_over(
    stack: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LOOKED.clear()
    monkeypatch.setattr("monitoring.schedule.plan.LOOK", f"{__name__}:counted")
    use_case = load_usecase(file)
    stops = [threading.Event(), threading.Event()]
    residents = [threading.Thread(target=run, args=(stack, stop, 0.1)) for stop in stops]
    with open_schedule(stack) as schedule:
        schedule.add(use_case, file)
        for resident in residents:
            resident.start()
        schedule.run(use_case.name, datetime.now(UTC))
        until(lambda: LOOKED)
        stops[0].set()
        residents[0].join(30)
        before = len(LOOKED)
        schedule.run(use_case.name, datetime.now(UTC))
        until(lambda: len(LOOKED) > before)
    stops[1].set()
    residents[1].join(30)
    assert len(LOOKED) == before + 1 == 2


def test_a_look_that_fails_is_an_alert_until_one_succeeds(
    stack: Settings, engine: sa.Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = load_usecase(file).name
    monkeypatch.setattr("monitoring.schedule.look.sys.executable", "/bin/false")
    with pytest.raises(LookFailedError, match="exit 1"):
        look(str(stack.root), str(file))
    with engine.connect() as connection:
        (alert,) = read_board(connection, name).of(name)
    assert alert.finding.kind == "schedule"
    assert "cannot be looked at" in alert.finding.what
    assert f"monitor-{name}.log" in alert.finding.look_at
    monkeypatch.setattr("monitoring.schedule.look.sys.executable", "/bin/true")
    look(str(stack.root), str(file))
    with engine.connect() as connection:
        assert not read_board(connection, name).of(name)


def test_a_real_look_of_a_use_case_that_nobody_has_asked_says_that_there_is_nothing(
    stack: Settings, file: Path
) -> None:
    look(str(stack.root), str(file))
    said = (stack.root / "logs" / f"monitor-{load_usecase(file).name}.log").read_text()
    assert "no window has anything in it to judge" in said


def test_the_commands_plan_list_and_remove(stack: Settings, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(stack.root))
    started: list[Settings] = []
    monkeypatch.setattr("monitoring.schedule.staying.start_schedule", started.append)
    name = load_usecase(file).name

    def said(*words: str) -> str:
        result = CliRunner().invoke(app, ["schedule", *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert said("add", str(file)).startswith(f"{name}  every 1d")
    assert len(started) == 1
    assert name in said("list", "--json")
    assert "is not looked at until" in said("pause", name)
    assert "paused" in said("list")
    assert "next 2" in said("resume", name)
    assert "stays paused" not in said("run", name)
    said("pause", name)
    assert "within seconds" in said("run", name)
    assert "It stays paused." in said("run", name)
    assert "paused" in said("list")
    assert "by hand only" in said("remove", name)
    assert "Nothing is looked at" in said("list")
