"""The shipper in a simulated world: nothing promised is lost or doubled, whatever fails at whatever moment.

The code under test is the shipper itself; disk, clock, tables and agents are simulated. A seed that fails is named by
the test, and the same seed fails again: `Node(seed).live()`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from deploy.log.leftovers import Leftovers
from deploy.log.outcome_spools import OutcomeSpools
from deploy.log.spools import Spools
from tests.deploy.log.simulation.disk import VirtualDisk
from tests.deploy.log.simulation.node import Node
from tests.deploy.log.simulation.tables import VirtualTables
from tests.deploy.log.simulation.world import BrokenPromiseError

SEEDS = 2000
SEEDS_FOR_A_FAULT = 400


@pytest.mark.parametrize("first", range(0, SEEDS, 500))
def test_what_was_promised_is_in_the_tables_once_whatever_fails(first: int) -> None:
    live(range(first, first + 500))


def live(seeds: Iterable[int]) -> None:
    for seed in seeds:
        try:
            Node(seed).live()
        except BrokenPromiseError as broken:
            raise BrokenPromiseError(f"Node({seed}).live(): {broken}") from broken


def test_a_seed_is_the_same_world_each_time() -> None:
    for seed in range(20):
        first, second = Node(seed), Node(seed)
        first.live()
        second.live()
        assert first.world.happened == second.world.happened
        assert first.store.commits == second.store.commits


def removes_before_it_commits(patch: pytest.MonkeyPatch) -> None:
    commit = Spools._commit

    def early(self: Spools, use_case: str, rows: pa.Table, versions: Mapping[str, int]) -> None:
        for path in [path for path in self._offsets if path.stem in versions and not self._disk.is_held(path)]:
            self._disk.remove(path)
        commit(self, use_case, rows, versions)

    patch.setattr(Spools, "_commit", early)


def starts_every_segment_anew(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Spools, "_position", lambda self, use_case, path: 0)


def commits_without_positions(patch: pytest.MonkeyPatch) -> None:
    commit = VirtualTables.commit
    patch.setattr(
        VirtualTables, "commit", lambda self, use_case, table, rows, versions: commit(self, use_case, table, rows, {})
    )


def ignores_the_lock_of_the_home(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def own(self: VirtualDisk, path: Path) -> Iterator[bool]:
        yield True

    patch.setattr(VirtualDisk, "own", own)


def takes_every_segment_for_finished(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("deploy.log.spools.is_finished", lambda path, disk: True)


def trusts_its_memory_after_a_fault(patch: pytest.MonkeyPatch) -> None:
    class Memory(dict[Path, int]):
        def clear(self) -> None:
            """Keep all."""

    start = Spools.__init__

    def remember(self: Spools, *arguments: Any, **named: Any) -> None:
        start(self, *arguments, **named)
        self._offsets = Memory()

    patch.setattr(Spools, "__init__", remember)


def forgets_lines_that_are_no_records(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("deploy.log.spools.set_aside", lambda path, start, lines, disk: path)


def does_not_sync_tables(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VirtualTables, "settle", lambda self, use_case, table: None)


def does_not_sync_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VirtualDisk, "sync", lambda self, path: None)


def clears_no_temporary_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Leftovers, "clear", lambda self, folder, names: None)


def ships_outcomes_without_looking(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OutcomeSpools, "_commit", Spools._commit)


def gives_up_after_a_fault(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("deploy.log.backoff.FIRST_SECONDS", 1e9)
    patch.setattr("deploy.log.backoff.LONGEST_SECONDS", 1e9)


@pytest.mark.parametrize(
    "fault",
    [
        removes_before_it_commits,
        starts_every_segment_anew,
        commits_without_positions,
        ignores_the_lock_of_the_home,
        takes_every_segment_for_finished,
        trusts_its_memory_after_a_fault,
        forgets_lines_that_are_no_records,
        does_not_sync_tables,
        does_not_sync_the_disk,
        clears_no_temporary_file,
        ships_outcomes_without_looking,
        gives_up_after_a_fault,
    ],
)
def test_a_shipper_with_a_fault_is_noticed(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(BrokenPromiseError):
        live(range(SEEDS_FOR_A_FAULT))
