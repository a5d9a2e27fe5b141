"""What the shipper expects of a disk, of the real one and of the simulated one alike."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.log.disk import Disk, LocalDisk
from tests.deploy.log.simulation.disk import Medium, VirtualDisk
from tests.deploy.log.simulation.world import Process, Rates, World

# Makes the disk of one more process.
MakeDisk = Callable[[], Disk]


def simulated() -> MakeDisk:
    world = World(0)
    world.rates = Rates()
    medium = Medium(world)
    return lambda: VirtualDisk(medium, world, Process())


@pytest.fixture(params=["local", "simulated"])
def make(request: pytest.FixtureRequest) -> MakeDisk:
    return simulated() if request.param == "simulated" else LocalDisk


def test_names_are_in_order_and_a_missing_folder_has_none(make: MakeDisk, tmp_path: Path) -> None:
    disk = make()
    for name in ("b", "a", ".c"):
        disk.write(tmp_path / name, b"")
    assert disk.names(tmp_path) == [".c", "a", "b"]
    assert disk.names(tmp_path / "missing") == []


def test_content_is_read_in_parts(make: MakeDisk, tmp_path: Path) -> None:
    disk = make()
    disk.write(tmp_path / "a", b"0123456789")
    disk.sync(tmp_path / "a")
    assert disk.read(tmp_path / "a", 2, 3) == b"234"
    assert disk.read(tmp_path / "a", 8, 100) == disk.read(tmp_path / "a", 8, -1) == b"89"
    assert disk.read(tmp_path / "a", 20, -1) == b""
    disk.write(tmp_path / "a", b"new")
    assert disk.read(tmp_path / "a", 0, -1) == b"new"


def test_a_file_takes_the_name_of_another(make: MakeDisk, tmp_path: Path) -> None:
    disk = make()
    disk.write(tmp_path / "a", b"old")
    disk.write(tmp_path / "b", b"new")
    disk.rename(tmp_path / "b", tmp_path / "a")
    disk.sync(tmp_path)
    assert (disk.names(tmp_path), disk.read(tmp_path / "a", 0, -1)) == (["a"], b"new")


def test_a_missing_file_is_told(make: MakeDisk, tmp_path: Path) -> None:
    disk = make()
    for call in (
        lambda: disk.read(tmp_path / "a", 0, 1),
        lambda: disk.is_held(tmp_path / "a"),
        lambda: disk.rename(tmp_path / "a", tmp_path / "b"),
        lambda: disk.remove(tmp_path / "a"),
    ):
        with pytest.raises(FileNotFoundError):
            call()


def test_a_lock_has_one_owner_until_the_owner_is_done(make: MakeDisk, tmp_path: Path) -> None:
    first, second, path = make(), make(), tmp_path / "folder" / "lock"
    with first.own(path) as owned:
        assert owned
        assert second.is_held(path)
        with second.own(path) as too:
            assert not too
    assert not second.is_held(path)
    with second.own(path) as owned:
        assert owned


def test_a_removed_file_is_gone(make: MakeDisk, tmp_path: Path) -> None:
    disk = make()
    disk.write(tmp_path / "a", b"")
    disk.remove(tmp_path / "a")
    assert disk.names(tmp_path) == []
