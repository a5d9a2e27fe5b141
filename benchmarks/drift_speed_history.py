"""What one more day costs in a store of 30, 365 and 3,650 days: from the log to the decision."""

from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl
import pyarrow as pa

from benchmarks.drift_speed_judge import cpu_seconds
from benchmarks.drift_speed_rows import COLUMNS, START, TIME, draw
from flywheel.contract import Column, Contract, outputs_of
from flywheel.monitor_spec import Drift
from flywheel.profiling.profile import profile_rows
from flywheel.records import REQUESTS, prediction_schema
from flywheel.storage import PredictionLog
from monitoring.drift.state import watch_bytes, watch_from
from monitoring.drift.watch import learn
from monitoring.windows.keys import Key
from monitoring.windows.lens import Lens
from monitoring.windows.store import BlockStore
from monitoring.windows.update import Source, update_blocks

DAYS = (30, 365, 3650)
ROWS_A_DAY, MONTH = 200, 30  # an append of the history has a month; of the new days each its own
NEW_DAYS, MEASURED = 22, 5  # the first days still have labels of the history to join
NAME, VERSION = "store", "1"
DAY = timedelta(days=1)
LIVE = START + timedelta(days=100)
CONTRACT = Contract(
    columns=(
        Column(name=TIME, type="datetime", nullable=False),
        *(Column(name=name, type=kind, nullable=True) for name, kind in COLUMNS.items()),
    ),
    event_time=TIME,
    entity=None,
    outputs=outputs_of("binary"),
)


def history_rows(folder: Path, lengths: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return one row for each length of history, in days."""
    return [_one(folder / f"history-{days}", days) for days in lengths]


def _one(home: Path, days: int) -> dict[str, Any]:
    """Fill a store with so many days, and then measure the last of some more: the median."""
    reference = profile_rows(draw(100 * ROWS_A_DAY, 100), COLUMNS, TIME)
    kept = watch_bytes(learn(reference, Drift()))
    log, store = PredictionLog(home / "log"), BlockStore(home, NAME)
    lens = Lens("binary", COLUMNS, reference.scale)
    source = Source(log, NAME, "binary", lambda _: lens, DAY)
    for begin in range(0, days, MONTH):
        _append(log, LIVE + DAY * begin, min(MONTH, days - begin), begin + 1)
    update_blocks(store, source, LIVE + DAY * days)
    costs = []
    for number in range(days, days + NEW_DAYS):
        start = LIVE + DAY * number
        _append(log, start, 1, number + 1)
        used = cpu_seconds()
        update_blocks(store, source, start + DAY)
        series = store.series(Key(VERSION, "champion"), start, start + DAY)
        assert series is not None  # noqa: S101  # the day was just written
        watch = watch_from(kept, "it")
        for block in series.blocks:
            watch.take(block)
        kept = watch_bytes(watch)
        costs.append(cpu_seconds() - used)
    size = sum(path.stat().st_size for path in store.folder.iterdir()) / 1e6
    return {"blocks": days, "cpu_seconds": median(costs[-MEASURED:]), "store_mb": size}


def _append(log: PredictionLog, start: datetime, days: int, number: int) -> None:
    """Append some days of answers to the log, as the shipper does."""
    rows = draw(ROWS_A_DAY * days, days, start=start, seed=number)
    ids = pl.format("{}-{}", pl.lit(number), pl.int_range(pl.len()))
    made = rows.select(
        schema_version=pl.lit(1, pl.Int16),
        request_id=ids,
        attempt=pl.lit(1, pl.Int16),
        row=pl.lit(0, pl.Int16),
        prediction_id=ids,
        event_time=pl.col(TIME),
        recorded_time=pl.col(TIME),
        model_version=pl.lit(VERSION),
        status=pl.lit("scored"),
        inputs=pl.struct(TIME, *COLUMNS),
        outputs=pl.struct(pl.lit(0.5).alias("probability")),
    )
    schema = pa.schema([field for field in prediction_schema(CONTRACT) if field.name in made.columns])
    log.append(NAME, "predictions", made.to_arrow().select(schema.names).cast(schema), "bench", number)
    lines = rows.select(request_id=ids, time=pl.col(TIME), code=pl.lit(200), attempts=pl.lit(1))
    fields = pa.schema([field for field in REQUESTS if field.name in lines.columns])
    log.append(NAME, "requests", lines.to_arrow().select(fields.names).cast(fields), "bench", number)
