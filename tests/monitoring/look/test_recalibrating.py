"""What a look hands to the agents: recorded first, whole or not there, and renewed while outcomes come.

The audit trail is exchanged for a list; tests/deploy/test_recalibrated.py has the real one.
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError
from flywheel.package import ModelPackage, read_package
from flywheel.recalibration import KEY, Recalibrated, path_of, read_key
from flywheel.usecase import UseCase, parse_usecase
from monitoring.look.recalibrating import Handover, findings_of, recalibrate
from monitoring.retraining.level import Learned
from monitoring.rows.question import Asked
from tests.deploy.conftest import ENVIRONMENT, ROOT, wait_for
from tests.deploy.shop import REFERENCE
from tests.monitoring.flights_log import Flight, write_log
from tests.monitoring.flights_package import USE_CASE, write_model

BEGIN, DAY, NAME = datetime(2013, 4, 1), timedelta(days=1), "moved"
HERE = Asked(Path("usecase.yaml"), datetime(2013, 5, 1))
LEARNED = Learned("1", 0.25, 0.0, 1.0, 500, datetime(2013, 4, 9), "Since.", is_renewed=True)
# Hands over one shift after another, none of which is news, until it is killed.
WRITER = """
import sys
from pathlib import Path
import sqlalchemy as sa
from monitoring.look.recalibrating import Handover
from tests.monitoring.look.test_recalibrating import LEARNED, replace
handover = Handover(Path(sys.argv[1]), sa.create_engine("sqlite://"), "moved")
number = 0
while True:
    shift = (number := number + 1) % 1000 / 1000
    handover.hand(replace(LEARNED, shift=shift, before=shift), "d")
"""
Told = list[tuple[str, Mapping[str, Any]]]


class World:
    """A home with a version of a package that allows a shift, and its log."""

    def __init__(self, home: Path, **monitor: Any) -> None:
        self.home, self.turn, self.engine = home, 0, sa.create_engine("sqlite://")
        document = {**USE_CASE, "name": NAME}
        self.use_case: UseCase = parse_usecase(document, "usecase.yaml")
        document["monitor"] = {"min_outcomes": 50, **monitor}
        folder = write_model(home / "packages" / NAME / "1-x", REFERENCE, document)
        self.package: ModelPackage = read_package(folder)
        self.digest = folder_digest(folder)

    def fly(self, first: int, days: int, late: float = 0.6) -> None:
        flights = [
            Flight(f"{day}-{number}", BEGIN + DAY * (day + number / 20), outcome=float(number < 20 * late))
            for day in range(first, first + days)
            for number in range(20)
        ]
        self.turn += 1
        write_log(self.home / "log", flights, digest=self.digest, name=NAME, turn=self.turn)

    def look(self, day: int) -> list[Learned]:
        return recalibrate(self.home, self.engine, self.use_case, {"1": self.package}, BEGIN + day * DAY)

    def held(self) -> Recalibrated:
        return Recalibrated.read(path_of(self.home, NAME, "1"), read_key(self.home / KEY))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    found: Told = []

    def append(connection: sa.Connection, kind: object, subject: str, actor: str, body: Mapping[str, Any]) -> None:
        found.append((subject, body))

    monkeypatch.setattr("monitoring.look.recalibrating.append", append)
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, recalibrate={"most": 0.5})


def test_a_shift_is_recorded_and_handed_over_and_said_again_without_a_new_event(world: World, told: Told) -> None:
    world.fly(0, 10)
    (learned,) = world.look(11)
    first = world.held()
    assert (first.shift, first.as_of, first.digest) == (learned.shift, BEGIN + 11 * DAY, world.digest)
    assert learned.shift > 0.1
    assert told == [(f"{NAME}/1", learned.body())]
    assert {"shift", "before", "rows", "as_of", "why"} <= told[0][1].keys()
    (again,) = world.look(11)
    assert again.shift == learned.shift
    assert world.held().made > first.made
    assert len(told) == 1
    assert (world.home / KEY).stat().st_mode & 0o077 == 0


def test_a_look_at_an_older_time_changes_nothing(world: World, told: Told) -> None:
    world.fly(0, 10)
    world.look(11)
    before = world.held()
    assert world.look(8) == []
    assert world.held() == before


def test_a_version_whose_package_does_not_allow_it_is_left_as_it_is(tmp_path: Path, told: Told) -> None:
    world = World(tmp_path)
    world.use_case = parse_usecase({**USE_CASE, "name": NAME, "monitor": {"recalibrate": {}}}, "usecase.yaml")
    world.fly(0, 10)
    assert world.look(11) == []
    assert not (tmp_path / KEY).exists()
    assert told == []


def test_a_file_that_agents_would_not_believe_is_replaced(world: World, told: Told) -> None:
    world.fly(0, 10)
    world.look(11)
    good, path = world.held(), path_of(world.home, NAME, "1")
    for damage in (path.read_bytes()[:-4], b"", good.signed(b"o" * 32)):
        path.write_bytes(damage)
        world.look(11)
        assert world.held().shift == good.shift
    assert [body["shift"] for _, body in told] == [good.shift] * 4


def test_a_version_with_another_package_starts_at_nothing(world: World, told: Told) -> None:
    world.fly(0, 10)
    world.look(11)
    handover = Handover(world.home, world.engine, NAME)
    assert handover.held("1", world.digest) is not None
    assert handover.held("1", "sha256:other") is None
    assert handover.held("2", world.digest) is None


def test_without_new_outcomes_what_there_is_is_not_renewed_and_people_are_told(world: World, told: Told) -> None:
    world.fly(0, 10)
    (learned,) = world.look(11)
    before = world.held()
    assert list(findings_of([learned], BEGIN, HERE)) == []
    world.fly(16, 1)  # without it nobody would have been answered lately
    (late,) = world.look(16)
    assert world.held() == before
    (finding,) = findings_of([late], BEGIN, HERE)
    assert (finding.kind, finding.key) == ("recalibration", "1")
    assert "is not renewed. No outcome is known of anything after 2013-04-10." in finding.what
    assert list(findings_of([replace(late, before=0.0)], BEGIN, HERE)) == []


def test_a_shift_at_its_bound_is_told(world: World, told: Told) -> None:
    world.fly(0, 12, late=1.0)
    (learned,) = world.look(13)
    assert learned.shift == 0.5
    (finding,) = findings_of([learned], BEGIN, HERE)
    assert "moved by +0.50, as far as its package allows" in finding.what


def test_what_the_disk_does_not_take_is_one_sentence_and_the_last_shift_holds(world: World, told: Told) -> None:
    path = path_of(world.home, NAME, "1")
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("no folder")
    with pytest.raises(IntegrityError, match=r"cannot be written: .*\. The last one holds\."):
        Handover(world.home, world.engine, NAME).hand(LEARNED, "d")


def test_a_writer_that_is_killed_at_any_moment_leaves_a_file_that_is_whole(tmp_path: Path) -> None:
    path = path_of(tmp_path, NAME, "1")
    handover = Handover(tmp_path, sa.create_engine("sqlite://"), NAME, lambda: datetime.now(UTC))
    path.parent.mkdir(parents=True)
    held = Recalibrated(use_case=NAME, version="1", digest="d", shift=0, as_of=BEGIN, made=datetime.now(UTC))
    path.write_bytes(held.signed(read_key(tmp_path / KEY)))
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    for kill in range(4):
        before = path.stat().st_ino, path.stat().st_mtime_ns
        process = subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT)

        def has_written(before: tuple[int, int] = before) -> bool:
            assert handover.held("1", "d") is not None  # whenever one looks
            return (path.stat().st_ino, path.stat().st_mtime_ns) != before

        wait_for(has_written, "a write")
        for _ in range(200 + kill):
            assert handover.held("1", "d") is not None
        process.kill()
        process.wait(10)
        found = handover.held("1", "d")
        assert found is not None
        assert 0 <= found.shift < 1
