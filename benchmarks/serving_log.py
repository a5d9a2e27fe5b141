"""The prediction log's own figures: records a second into Delta, and the time to find one record among ten million.

    python -m benchmarks.serving_log [--records 10000000]

Records are as wide as those of the flights use case: 18 inputs, two outputs.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import uuid_utils

from deploy.agent.recording import SCHEMA_VERSION
from deploy.log.batch_lines import SHARED
from deploy.log.shipper import Shipper
from flywheel.contract import Column, Contract, outputs_of
from flywheel.records import prediction_schema
from flywheel.storage import PredictionLog

USE_CASE = "benchmark"
SPOOLED = 500_000
LINES = (1, 32)  # records in a line
SEGMENT_BYTES = 32 << 20
CHUNK = 200_000
LOOKUPS = 40
START = datetime(2026, 1, 1)
DIGEST = "sha256:" + "0" * 64


def contract() -> Contract:
    """Return a contract as wide as that of flights."""
    texts = [Column(name=f"text_{n}", type="string", nullable=False) for n in range(4)]
    numbers = [Column(name=f"number_{n}", type="double", nullable=True) for n in range(9)]
    counts = [Column(name=f"count_{n}", type="long", nullable=False) for n in range(4)]
    at = Column(name="at", type="datetime", nullable=False)
    return Contract(
        columns=(at, *texts, *numbers, *counts),
        event_time="at",
        entity="key",
        outputs=outputs_of("binary", has_threshold=True),
    )


def log_records_per_s(records: int = SPOOLED) -> float:
    """Return records a second of the slower spool: that of a busy agent, or of one with a request at a time."""
    return min(shipped_per_s(records, in_line) for in_line in LINES)


def shipped_per_s(records: int, in_line: int) -> float:
    """Ship a spool of this many records, so many a line, with one shipper; return records a second, start to end."""
    home = Path(tempfile.mkdtemp(prefix="flywheel-log-"))
    try:
        _spool(home, records, in_line)
        shipper = Shipper(home)
        began = time.perf_counter()
        shipper.drain()
        took = time.perf_counter() - began
        there = PredictionLog(home / "log").count(USE_CASE, "predictions")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if there != records:
        raise AssertionError(f"{there} of {records} records are in the log")
    return records / took


def lookup_ms(records: int = 10_000_000) -> float:
    """Fill a log, find records of all times by their ids, and return the median milliseconds of one."""
    root = Path(tempfile.mkdtemp(prefix="flywheel-lookup-"))
    try:
        ids = _fill(root, records)
        log = PredictionLog(root)
        log.find(USE_CASE, ids[0])  # opens the table
        times = []
        for wanted in random.Random(7).sample(ids, LOOKUPS):  # noqa: S311  # which ones is all the same
            began = time.perf_counter()
            found = log.find(USE_CASE, wanted)
            times.append(time.perf_counter() - began)
            if found is None or found["prediction_id"] != wanted:
                raise AssertionError(f"{wanted} was not found")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return statistics.median(times) * 1000


def _spool(home: Path, records: int, in_line: int) -> None:
    folder = home / "spool" / f"{USE_CASE}-v1"
    folder.mkdir(parents=True)
    (home / "logs").mkdir()
    (folder / "contract.json").write_text(contract().model_dump_json())
    rows = [_record(number) for number in range(997)]
    lines: list[bytes] = []
    size = 0
    for start in range(0, records, in_line):
        numbers = range(start, min(start + in_line, records))
        ids = [{"request_id": f"r{number}", "prediction_id": str(uuid_utils.uuid7())} for number in numbers]
        lines.append(_line([rows[number % len(rows)] | ids[number - start] for number in numbers]))
        size += len(lines[-1])
        if size > SEGMENT_BYTES or numbers[-1] == records - 1:
            (folder / f"{uuid_utils.uuid7()}.jsonl").write_bytes(b"".join(lines))
            lines, size = [], 0


def _line(records: list[dict[str, Any]]) -> bytes:
    """Return records as an agent writes them, which is column by column."""
    shared = {name: records[0][name] for name in SHARED if name in records[0]}
    own: dict[str, Any] = {name: [record[name] for record in records] for name in records[0] if name not in SHARED}
    for part in ("inputs", "outputs"):
        own[part] = {name: [values[name] for values in own[part]] for name in own[part][0]}
    return orjson.dumps(shared | own, option=orjson.OPT_APPEND_NEWLINE)


def _record(number: int) -> dict[str, Any]:
    draw = random.Random(number)  # noqa: S311  # no secret
    at = START + timedelta(seconds=number)
    inputs: dict[str, Any] = {"at": at}
    inputs |= {f"text_{n}": draw.choice(["EWR", "JFK", "LGA"]) for n in range(4)}
    inputs |= {f"number_{n}": draw.gauss(0, 100) for n in range(9)}
    inputs |= {f"count_{n}": draw.randrange(10_000) for n in range(4)}
    return {
        "schema_version": SCHEMA_VERSION,
        "attempt": 1,
        "row": 0,
        "event_time": at,
        "recorded_time": at,
        "use_case": USE_CASE,
        "model_version": "1",
        "model_digest": DIGEST,
        "rollout": None,
        "arm": "champion",
        "unit": f"user-{number}",
        "subject": None,
        "entity": f"key-{number}",
        "inputs": inputs,
        "online_features": None,
        "outputs": {"probability": draw.random(), "decision": True},
        "flags": [],
        "status": "scored",
        "error": None,
        "latency_ms": draw.random() * 10,
        "cache_hit": False,
    }


def _fill(root: Path, records: int) -> list[str]:
    """Append blocks as a shipper does, compacting now and then; return an id of each block's rows, spread over time."""
    log, schema = PredictionLog(root), prediction_schema(contract())
    base = pa.Table.from_pylist([_record(number) | _ids(number) for number in range(CHUNK)], schema=schema)
    kept: list[str] = []
    for start in range(0, records, CHUNK):
        moment = START + timedelta(seconds=start / 100)
        ids = _uuids(moment, CHUNK)
        times = pa.array([moment] * CHUNK, pa.timestamp("us"))
        block = base.set_column(schema.get_field_index("prediction_id"), "prediction_id", pa.array(ids))
        block = block.set_column(schema.get_field_index("recorded_time"), "recorded_time", times)
        log.append(USE_CASE, "predictions", block.slice(0, min(CHUNK, records - start)), f"fill-{start}", 1)
        kept += ids[:: CHUNK // 20][: max(1, (records - start) // (CHUNK // 20))]
    log.compact(USE_CASE, "predictions")
    return [one for one in kept if one is not None]


def _ids(number: int) -> dict[str, Any]:
    return {"request_id": f"r{number}", "prediction_id": ""}


def _uuids(moment: datetime, count: int) -> list[str]:
    """Return ids as UUIDv7 makes them: milliseconds since 1970 before random digits, a hundred a millisecond."""
    first = int(moment.timestamp() * 1000)
    tails = pl.Series([random.getrandbits(62) for _ in range(count)], dtype=pl.UInt64).to_list()
    found = []
    for number, tail in enumerate(tails):
        head = f"{first + number // 100:012x}"
        digits = f"{tail:016x}"
        found.append(f"{head[:8]}-{head[8:]}-7{digits[:3]}-8{digits[3:6]}-{digits[4:16]}")
    return found


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description="Records a second into the log, and the time to find one.")
    parser.add_argument("--records", type=int, default=10_000_000, help="in the log that is searched")
    options = parser.parse_args()
    print(f"shipped: {log_records_per_s():,.0f} records/s")
    print(f"lookup: {lookup_ms(options.records):.1f} ms among {options.records:,}")


if __name__ == "__main__":
    main()
