"""The controller that stays: it stands by, goes on, and without Postgres only goes back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from deploy.loop.emergency import Emergency
from deploy.loop.ledger import AwayError, PostgresLedger, Turns
from deploy.loop.progress import Progress, UnfinishedError
from deploy.loop.resident import Resident, is_quiet
from deploy.loop.rollout import Phase
from flywheel.errors import StackError, TransientError

LIVE = Progress("flights", "1", None, 100, Phase.DONE, "Live.", settled=True)


@dataclass
class Postgres:
    """Turns of leading that are there, taken by another controller, or away."""

    ledger: object = field(default_factory=object)
    taken: bool = False
    away: bool = False

    @contextmanager
    def turn(self) -> Iterator[object]:
        if self.away:
            raise AwayError("Postgres does not answer.")
        yield None if self.taken else self.ledger


@dataclass
class Ticks:
    """A controller, of which only the ticks are counted."""

    made: list["Ticks"]
    fault: Exception | None = None
    count: int = 0

    def tick(self) -> list[Progress]:
        self.count += 1
        if self.fault is not None:
            raise self.fault
        return [LIVE]


@dataclass
class Backs:
    """What is done without Postgres."""

    count: int = 0
    fault: Exception | None = None
    said: list[str] = field(default_factory=list)

    def tick(self) -> list[str]:
        self.count += 1
        if self.fault is not None:
            raise self.fault
        return self.said


@dataclass
class Room:
    postgres: Postgres
    made: list[Ticks]
    backs: Backs
    told: Path
    resident: Resident


@pytest.fixture
def room(tmp_path: Path) -> Room:
    postgres, made, backs, told = Postgres(), list[Ticks](), Backs(), tmp_path / "controller.prom"

    def make(ledger: PostgresLedger) -> Any:
        assert ledger is postgres.ledger
        made.append(Ticks(made))
        return made[-1]

    resident = Resident(cast("Turns", postgres), make, cast("Emergency", backs), told)
    return Room(postgres, made, backs, told, resident)


def test_it_ticks_and_says_how_things_stand(room: Room) -> None:
    assert room.resident.step() == [LIVE]
    room.resident.step()
    assert [one.count for one in room.made] == [2]


def test_while_another_controller_leads_it_does_nothing(room: Room) -> None:
    room.postgres.taken = True
    assert room.resident.step() == []
    assert (room.made, room.backs.count) == ([], 0)


def test_what_it_remembers_is_old_once_another_controller_was_at_work(room: Room) -> None:
    room.resident.step()
    room.told.write_text("passes of a flywheel deploy")
    os.utime(room.told, (1, 1))
    room.resident.step()
    room.resident.step()
    assert [one.count for one in room.made] == [1, 2]


def test_without_postgres_it_only_goes_back(room: Room) -> None:
    room.resident.step()
    room.postgres.away = True
    room.resident.step()
    room.backs.fault = TransientError("The gateway does not answer.")
    room.resident.step()
    assert (room.made[0].count, room.backs.count) == (1, 2)
    room.postgres.away = False
    assert room.resident.step() == [LIVE]


def test_what_is_sent_back_is_logged_once_while_postgres_is_away(room: Room) -> None:
    room.postgres.away, room.backs.said = True, ["flights: traffic goes back to version 1."]
    with capture_logs() as logged:
        for fault in (None, TransientError("The gateway does not answer.")):
            room.backs.fault = fault
            for _ in range(5):
                room.resident.step()
        room.postgres.away = False
        room.resident.step()
        room.postgres.away, room.backs.fault = True, None
        room.resident.step()
    assert [one["reason"] for one in logged] == [
        "Postgres does not answer.",
        "flights: traffic goes back to version 1.",
        "The gateway does not answer.",
        "Postgres does not answer.",
        "flights: traffic goes back to version 1.",
    ]


def test_where_nothing_can_be_recorded_it_goes_back_too(room: Room) -> None:
    room.resident.step()
    room.made[0].fault = UnfinishedError(AwayError("Somebody holds the chain."), [])
    room.resident.step()
    assert room.backs.count == 1
    room.made[0].fault = UnfinishedError(TransientError("MLflow is restarting."), [])
    room.resident.step()
    assert room.backs.count == 1


def test_a_fault_ends_nothing(room: Room) -> None:
    room.resident.step()
    room.made[0].fault = StackError("The registry refused.")
    assert room.resident.step() == []
    room.made[0].fault = None
    assert room.resident.step() == [LIVE]


def test_a_fault_of_ours_neither_ends_it_nor_leaves_harm_in_traffic(room: Room) -> None:
    room.resident.step()
    room.made[0].fault = KeyError("no such thing")
    assert room.resident.step() == []
    assert room.backs.count == 1


def test_passes_are_rarer_only_while_nothing_is_under_way() -> None:
    canary = Progress("rain", "1", "2", 5, Phase.CANARY, "More evidence is needed.", settled=False)
    held = Progress("rain", "1", "2", 5, Phase.HELD, "It asks.", settled=True)
    assert is_quiet([LIVE])
    assert not is_quiet([])  # another controller leads, or nothing answers
    assert not is_quiet([LIVE, canary])
    assert not is_quiet([held])
