"""The prediction log on disk: three Delta tables a use case, below one root.

    root/<use case>/predictions    appended by the shipper
    root/<use case>/requests       appended by the shipper
    root/<use case>/outcomes       appended by `flywheel outcomes` and by whoever learns outcomes

One table a use case, whatever inputs and outputs its versions have: see `flywheel.fields`.

Each append numbers its rows (`commit`), and the numbers rise from append to append: so a reader that comes again reads
what is new and nothing twice, whatever was compacted or expired meanwhile (see `after`).

Appends are exactly once: each carries application transactions (who, up to where), checked before the commit, because
Delta itself does not refuse a repeated one. That needs one writer an application id: callers hold a lock.
"""

import fcntl
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from flywheel.appended import COMMIT, FAULTS, Unreadable, first_line, newest, rows_after
from flywheel.durable import sync_new
from flywheel.errors import IntegrityError, StackError
from flywheel.fields import holds, place
from flywheel.lookup import find_record
from flywheel.records import OUTCOMES, REPORTED, REQUESTS, TIME, prediction_schema, without_repeats

TableName = Literal["predictions", "requests", "outcomes"]
TABLES: tuple[TableName, ...] = get_args(TableName)

# Small files are merged up to this size and then left alone, so that a merge never rewrites much.
COMPACT_BYTES = 16 << 20
# One record is found by reading one row group: small ones cost a few per cent in size.
ROW_GROUP = 8_192
WRITER = WriterProperties(max_row_group_size=ROW_GROUP, compression="ZSTD", compression_level=1)
# Readers of an older state have this long to finish.
RETENTION_HOURS = 1
# Else a commit a second leaves thirty days of commits, and a week of tombstones in every checkpoint.
CONFIGURATION: dict[str, str] = {
    "delta.logRetentionDuration": f"interval {RETENTION_HOURS} hours",
    "delta.deletedFileRetentionDuration": f"interval {RETENTION_HOURS} hours",
    "delta.checkpointInterval": "100",
}
# A commit is made again on the newer state when another was first: an expiry deletes while the shipper appends.
TRIES = 10
# How far a request's line may be from its record in time.
REQUEST_MARGINS = (timedelta(minutes=1), timedelta(hours=1))
# What makes a reported outcome the same.
SAID = ["outcome_id", "time_known"]


class PredictionLog:
    """Reads and appends the log below `root` (HOME/log)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tables: dict[Path, DeltaTable] = {}
        self._synced: dict[Path, set[Path]] = {}

    def use_cases(self) -> list[str]:
        """Return the use cases that have a log."""
        return sorted(path.name for path in self.root.glob("*") if (path / "predictions" / "_delta_log").is_dir())

    def logged(self) -> list[str]:
        """Return the use cases that have a table of any kind: of a version that never answered there are requests."""
        return sorted({path.parents[1].name for path in self.root.glob("*/*/_delta_log")})

    def predictions(self, use_case: str, start: datetime | None = None, end: datetime | None = None) -> pl.DataFrame:
        """Return prediction records with start <= event_time < end (naive UTC)."""
        frame = self.scan(use_case, "predictions", prediction_schema(None))
        if start is not None:
            frame = frame.filter(pl.col("event_time") >= start)
        if end is not None:
            frame = frame.filter(pl.col("event_time") < end)
        return frame.collect()

    def requests(self, use_case: str) -> pl.DataFrame:
        """Return the gateway's lines for a use case."""
        return self.scan(use_case, "requests", REQUESTS).collect()

    def requests_of(self, use_case: str, request_id: str, at: datetime) -> pl.DataFrame:
        """Return the gateway's lines for one request, whose record is of `at` (naive UTC).

        A line's time is when its request came; clocks may differ by an hour. Usually they do not, and a minute is
        searched first, because ids of requests are in no order.
        """
        frame = self.scan(use_case, "requests", REQUESTS).filter(pl.col("request_id") == request_id)
        for margin in REQUEST_MARGINS:
            found = frame.filter(pl.col("time").is_between(at - margin, at + margin)).collect()
            if found.height:
                break
        return found

    def outcomes(self, use_case: str, prediction_id: str | None = None, entity: str | None = None) -> pl.DataFrame:
        """Return what became true, as far as it was reported.

        With `prediction_id` only what was reported of that prediction by its id, and with `entity` beside it what was
        reported of that entity without naming a prediction.
        """
        frame = self.scan(use_case, "outcomes", REPORTED)
        if prediction_id is not None:
            wanted = pl.col("prediction_id") == prediction_id
            if entity is not None:
                wanted |= pl.col("prediction_id").is_null() & (pl.col("entity") == entity)
            frame = frame.filter(wanted)
        return without_repeats(frame.collect()).select(OUTCOMES.names)

    def new_outcomes(self, use_case: str, reported: pl.DataFrame) -> pl.DataFrame:
        """Return those rows (n_rows) of `REPORTED` that the table does not hold yet, each once.

        The id of an outcome tells all that a client said of it, its event's time too; `time_known` is no part of it
        where the client left it out, and then makes another row: see `without_repeats`.
        """
        once = reported.unique(SAID, keep="first", maintain_order=True)
        events = pl.col("event_time").is_between(once["event_time"].min(), once["event_time"].max())
        known = self.scan(use_case, "outcomes", REPORTED).filter(events).select(SAID)
        held = known.filter(pl.col("outcome_id").is_in(once["outcome_id"].to_list())).collect()
        return once.join(held, on=SAID, how="anti", maintain_order="left")

    def find(self, use_case: str, prediction_id: str) -> dict[str, Any] | None:
        """Return a prediction's record, None where there is none.

        Ids are UUIDv7 and so in order of time, as the log is: the statistics of files and row groups leave few to read.
        """
        known = self._kept(use_case, "predictions")
        if known is None:
            return None
        return find_record(known, self.path(use_case, "predictions"), prediction_id)

    def newest(self, use_case: str, table: TableName) -> int:
        """Return the number of a table's last append, 0 where there is none.

        Raises:
            StackError: The table cannot be read.
        """
        known = self._kept(use_case, table)
        return 0 if known is None else newest(known, self.path(use_case, table))

    def after(
        self,
        use_case: str,
        table: TableName,
        after: int,
        columns: Sequence[str],
        *,
        until: int | None = None,
        unreadable: Unreadable | None = None,
        file: str | None = None,
    ) -> list[pl.DataFrame]:
        """Return the rows of appends numbered above `after` and up to `until`, with `commit`: a frame a file.

        With `unreadable` a damaged file is told to it and left out, instead of raised; `file` names the only one to
        read.

        Raises:
            StackError: The table cannot be read.
        """
        known = self._kept(use_case, table)
        where = self.path(use_case, table)
        if known is None:
            return []
        try:
            return rows_after(known, where, after, columns, until=until, unreadable=unreadable, file=file)
        except OSError as fault:
            raise StackError(f"Log table {where} cannot be read: {fault}. Try again, or restore it.") from fault

    def count(self, use_case: str, table: TableName) -> int:
        """Return how many rows a table has."""
        known = self.open(use_case, table)
        return (
            0 if known is None else int(pa.table(known.get_add_actions(flatten=True))["num_records"].to_numpy().sum())
        )

    def tells_classes(self, use_case: str) -> bool:
        """Say whether a version has answered with the name of a class."""
        known = self.open(use_case, "predictions")
        if known is None:
            return False
        return holds(pa.schema(known.schema().to_arrow()).field("outputs").type, "prediction", "string")

    def append(
        self, use_case: str, table: TableName, frame: pl.DataFrame | pa.Table, app_id: str, version: int
    ) -> bool:
        """Append once: False when `app_id` has already come as far as `version`.

        Raises:
            StackError: The table cannot be written, or a column has another type than in the table.
        """
        position = self.position(use_case, table, app_id)
        if position is not None and position >= version:
            return False
        self.commit(use_case, table, frame, {app_id: version})
        return True

    def commit(
        self, use_case: str, table: TableName, frame: pl.DataFrame | pa.Table, versions: Mapping[str, int]
    ) -> None:
        """Append rows and move several applications forward in one commit.

        Raises:
            IntegrityError: One of them has come that far already; nothing is written.
            StackError: The table cannot be written, or a column has another type than in the table.
        """
        rows = frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame
        if table == "outcomes" and "recorded_time" not in rows.schema.names:
            rows = _stamped(rows)
        where = self.path(use_case, table)
        for left in reversed(range(TRIES)):
            try:
                self._commit(use_case, table, rows, versions)
                break
            except CommitFailedError as fault:  # an expiry was first; nothing was written
                if not left:
                    raise StackError(f"Log table {where} is never left alone: {fault}. Try again.") from fault
            except (DeltaError, OSError) as fault:
                raise StackError(
                    f"Log table {where} cannot be written: {fault}. Check disk space and permissions."
                ) from fault

    def _commit(self, use_case: str, table: TableName, rows: pa.Table, versions: Mapping[str, int]) -> None:
        known = self.open(use_case, table)
        for app_id, version in versions.items():
            position = known.transaction_version(app_id) if known is not None else None
            if position is not None and position >= version:
                raise IntegrityError(f"{app_id} has already been logged up to {position}. Start from there.")
        rows = _numbered(rows, 1 if known is None else known.version() + 2)
        now = int(time.time() * 1000)
        marks = [Transaction(app_id, version, now) for app_id, version in versions.items()]
        write_deltalake(
            str(self.path(use_case, table)) if known is None else known,
            _fit(rows, pa.schema(known.schema().to_arrow()) if known is not None else pa.schema({})),
            mode="append",
            schema_mode="merge",
            configuration=CONFIGURATION if known is None else None,
            commit_properties=CommitProperties(app_transactions=marks),
            writer_properties=WRITER,
        )

    def position(self, use_case: str, table: TableName, app_id: str) -> int | None:
        """Return how far an application has come in a table, None before its first append."""
        known = self.open(use_case, table)
        return None if known is None else known.transaction_version(app_id)

    def compact(self, use_case: str, table: TableName) -> None:
        """Merge small files, and remove merged ones that no reader can still need.

        Raises:
            StackError: That failed; the rows are as before.
        """
        known = self.open(use_case, table)
        if known is None:
            return
        try:
            known.optimize.compact(target_size=COMPACT_BYTES, writer_properties=WRITER)
            known.vacuum(retention_hours=RETENTION_HOURS, dry_run=False, enforce_retention_duration=False)
        except (DeltaError, OSError) as fault:
            where = self.path(use_case, table)
            raise StackError(f"Log table {where} cannot be compacted: {fault}. Check disk space.") from fault

    def settle(self, use_case: str, table: TableName) -> None:
        """Return when all that was committed survives loss of power, as far as the local disk goes.

        Raises:
            StackError: The disk has a fault, or has lost what was committed and not synced when the power went.
        """
        known, folder = self._kept(use_case, table), self.path(use_case, table)
        if known is None:
            return
        named = pa.table(known.get_add_actions(flatten=True)).select(["path", "size_bytes"]).to_pydict()
        sizes = {folder / unquote(path): size for path, size in zip(*named.values(), strict=True)}
        synced = self._synced.get(folder, set())
        try:
            if short := [path.name for path in sizes.keys() - synced if path.stat().st_size < sizes[path]]:
                raise StackError(f"Log table {folder} has lost a part of {short[0]}. Its segments stay; restore it.")
            commits = [path for path in (folder / "_delta_log").iterdir() if path.is_file()]
            self._synced[folder] = sync_new([*commits, *sizes, folder, folder.parent], synced)
        except OSError as fault:
            raise StackError(f"Log table {folder} cannot be synced: {fault}. Check the disk.") from fault

    def outcomes_alone(self, use_case: str) -> AbstractContextManager[None]:
        """Hold the table of outcomes."""
        return outcomes_alone(self.root, use_case)

    def path(self, use_case: str, table: TableName) -> Path:
        """Return where a table lies."""
        return self.root / use_case / table

    def open(self, use_case: str, table: TableName) -> DeltaTable | None:
        """Open a table as it is now, None where there is none.

        Raises:
            StackError: It cannot be read.
        """
        try:
            return DeltaTable(str(self.path(use_case, table)))
        except TableNotFoundError:
            return None
        except DeltaError as fault:
            where = self.path(use_case, table)
            raise StackError(f"Log table {where} cannot be read: {fault}. Restore it from a copy.") from fault

    def _kept(self, use_case: str, table: TableName) -> DeltaTable | None:
        """Open a table once, and then read only what was committed since."""
        path = self.path(use_case, table)
        known = self._tables.get(path)
        if known is None:
            known = self.open(use_case, table)
            if known is not None:
                self._tables[path] = known
            return known
        try:
            known.update_incremental()
        except DeltaError:  # the log of commits in between was cleaned up
            del self._tables[path]
            return self._kept(use_case, table)
        return known

    def scan(self, use_case: str, table: TableName, schema: pa.Schema) -> pl.LazyFrame:
        """Return a table as it is now, unread, with the columns of `schema` where it lacks them.

        Raises:
            StackError: It cannot be read.
        """
        empty = pl.DataFrame(schema=pl.Schema(schema))  # an empty table of Arrow's would import pandas: half a second
        known = self.open(use_case, table)
        if known is None:
            return empty.lazy()
        frame = pl.scan_delta(known)
        there = frame.collect_schema()
        later = {name: kind for name, kind in empty.schema.items() if name not in there}  # than this table
        return frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in later.items())


@contextmanager
def reading(use_case: str) -> Iterator[None]:
    """Make one fault of all that a damaged table may raise, wherever the damage is.

    Raises:
        StackError: The log cannot be read.
    """
    try:
        yield
    except (DeltaError, *FAULTS) as fault:
        raise StackError(
            f"The prediction log of {use_case} cannot be read: {first_line(fault)}. Restore it from a copy."
        ) from fault


def append_outcomes(log_root: Path, use_case: str, frame: pl.DataFrame) -> bool:
    """Append outcome records once, whoever sends the same rows again; return whether they were new.

    `frame` has the columns of `flywheel.records.OUTCOMES`, `label` only where outcomes are classes; `source` does not
    count as content.

    Raises:
        StackError: The table cannot be written.
    """
    ordered = frame if "label" in frame.columns else frame.with_columns(label=pl.lit(None, pl.String))
    ordered = ordered.select(OUTCOMES.names)
    # Without the empty column, so that numbers sent before there were labels are still known.
    unlabelled = ["label"] if ordered["label"].is_null().all() else []
    content = hashlib.sha256(ordered.drop("source", *unlabelled).write_csv().encode()).hexdigest()
    with outcomes_alone(log_root, use_case):
        rows = ordered.to_arrow().cast(OUTCOMES)
        return PredictionLog(log_root).append(use_case, "outcomes", rows, f"outcomes-{content}", 1)


@contextmanager
def outcomes_alone(log_root: Path, use_case: str) -> Iterator[None]:
    """Hold the table of outcomes, to which a person's files and the shipper append."""
    path = log_root / use_case / ".outcomes.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stamped(outcomes: pa.Table) -> pa.Table:
    """Add when the log took them: the times that outcomes carry are claims."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return outcomes.append_column("recorded_time", pa.array([now] * outcomes.num_rows, TIME))


def _numbered(rows: pa.Table, number: int) -> pa.Table:
    """Add the number of their append as the first column, so that it is among those that Delta keeps statistics of.

    Appends are made one after the other, each from a state that has the one before; so the numbers rise, whatever else
    is committed meanwhile.
    """
    return rows.add_column(0, COMMIT, pa.array([number] * rows.num_rows, pa.int64()))


def _fit(rows: pa.Table, known: pa.Schema) -> pa.Table:
    """Give columns that the table already has the table's types, where no value changes; Delta would cut 1.5 to 1."""
    for index, field in enumerate(rows.schema):
        there = known.field(field.name).type if field.name in known.names else None
        if pa.types.is_struct(field.type):
            placed = place(rows.column(index), there if there is not None else pa.struct([]))
            rows = rows.set_column(index, pa.field(field.name, placed.type), placed)
        elif there is not None and field.type != there:
            try:
                rows = rows.set_column(index, pa.field(field.name, there), rows.column(index).cast(there))
            except pa.ArrowInvalid as fault:
                raise StackError(f"Column '{field.name}' does not fit the log's type {there}: {fault}.") from fault
    return rows
