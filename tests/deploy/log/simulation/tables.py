"""Delta tables in memory: commits are atomic, a repeated application transaction is not refused."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from flywheel.errors import StackError
from flywheel.storage import TableName
from tests.deploy.log.simulation.world import BrokenPromiseError, Process, World

ID: Mapping[TableName, str] = {"predictions": "prediction_id", "outcomes": "outcome_id"}


@dataclass(frozen=True)
class Commit:
    """Ids of the rows, and how far applications came by it."""

    ids: list[str]
    versions: Mapping[str, int]


class Store:
    """The tables' commits in order, and how many of them survive loss of power for sure."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.commits: dict[str, list[Commit]] = defaultdict(list)
        self.settled: dict[str, int] = defaultdict(int)
        world.blackout.append(self._lose_power)

    def ids(self, table: str, *, settled: bool = False) -> list[str]:
        """Return the ids of all rows; with `settled` of those that survive loss of power."""
        commits = self.commits[table][: self.settled[table]] if settled else self.commits[table]
        return [one for commit in commits for one in commit.ids]

    def position(self, table: str, app_id: str) -> int | None:
        """Return how far an application has come."""
        return next((made.versions[app_id] for made in reversed(self.commits[table]) if app_id in made.versions), None)

    def add(self, table: str, commit: Commit) -> None:
        """Make a commit, whatever it says."""
        for app_id, version in commit.versions.items():
            before = self.position(table, app_id) or 0
            if version <= before:
                raise BrokenPromiseError(f"the position of {app_id} goes from {before} to {version}")
        self.commits[table].append(commit)

    def _lose_power(self) -> None:
        for table, commits in self.commits.items():
            del commits[self._world.chance.randint(self.settled[table], len(commits)) :]
            self.settled[table] = len(commits)


class VirtualTables:
    """The store as one process uses it: `deploy.log.tables.OutcomeTables`."""

    def __init__(self, store: Store, world: World, process: Process) -> None:
        self._store = store
        self._world = world
        self._process = process

    def position(self, use_case: str, table: TableName, app_id: str) -> int | None:
        with self._call():
            return self._store.position(table, app_id)

    def commit(
        self, use_case: str, table: TableName, frame: pl.DataFrame | pa.Table, versions: Mapping[str, int]
    ) -> None:
        with self._call():
            ids: list[str] = frame[ID[table]].to_pylist() if isinstance(frame, pa.Table) else frame[ID[table]].to_list()
            self._store.add(table, Commit(ids, dict(versions)))

    def settle(self, use_case: str, table: TableName) -> None:
        with self._call():
            self._store.settled[table] = len(self._store.commits[table])

    def compact(self, use_case: str, table: TableName) -> None:
        with self._call():
            pass

    @contextmanager
    def outcomes_alone(self, use_case: str) -> Iterator[None]:
        yield

    def new_outcomes(self, use_case: str, reported: pl.DataFrame) -> pl.DataFrame:
        with self._call():
            known = set(self._store.ids("outcomes"))
            ids: list[str] = reported["outcome_id"].to_list()
            new = [one not in known and one not in ids[:place] for place, one in enumerate(ids)]
            return reported.filter(pl.Series(new, dtype=pl.Boolean))

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Fail before the effect, or after it, while the store is away."""
        self._world.moment(self._process)
        if self._world.store_is_away():
            raise StackError("the store is away")
        yield
        self._world.moment(self._process)
        if self._world.store_is_away():
            raise StackError("the store went away")
