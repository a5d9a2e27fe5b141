"""How long a look at the prediction log takes, in a log of many records.

python -m benchmarks.evidence [--records N] [--new N] [--json FILE]
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from deploy.evidence.evidence import Evidence, Found
from deploy.evidence.lasting import LastingLosses
from deploy.evidence.plan import EvidencePlan, Loss
from flywheel.errors import DataError
from flywheel.goals import goal, write_goals
from flywheel.storage import PredictionLog, TableName

USE_CASE, ROLLOUT, BEGIN = "shop", "shop-2", datetime(2026, 1, 1)
PIECE, LOOKS, COMPACT_EVERY = 20_000, 9, 64
# Outcomes come so many requests after their predictions.
LAG = 100_000
PLAN = EvidencePlan.model_validate(
    {
        "champion": "1",
        "challenger": "2",
        "task": "binary",
        "outputs": {"probability": "double", "decision": "boolean"},
        "sticky": True,
        "users": True,
        "bins": {"edges": [number / 10 for number in range(1, 10)]},
        "loss": {"low": 0.0, "high": 4.0},
        "kpi": {"kind": "conversion", "low": 0.0, "high": 1.0},
        "shadow": True,
    }
)
Frames = dict[TableName, pl.DataFrame]


def rows(start: int, count: int, random: np.random.Generator) -> Frames:
    """Return predictions and lines of requests, a tenth of them the challenger's, and outcomes of earlier ones."""
    number = pl.int_range(start, start + count, eager=True)
    canary = pl.Series(random.random(count) < 0.1)
    said = pl.DataFrame({"probability": random.random(count)}).with_columns(decision=pl.col("probability") > 0.5)
    names = [number.cast(pl.String).str.zfill(36).alias("request_id"), _at(number)]
    base = pl.DataFrame(names).with_columns(
        rollout=pl.lit(ROLLOUT),
        arm=pl.when(canary).then(pl.lit("challenger")).otherwise(pl.lit("champion")),
        unit=pl.concat_str(pl.lit("user-"), pl.col("request_id")),
    )
    records = base.with_columns(
        attempt=pl.lit(1, pl.Int16),
        row=pl.lit(0, pl.Int16),
        prediction_id=pl.col("request_id"),
        recorded_time=pl.col("time"),
        model_version=pl.when(canary).then(pl.lit("2")).otherwise(pl.lit("1")),
        status=pl.lit("scored"),
        latency_ms=pl.lit(5.0),
        outputs=said.to_struct(),
    )
    lines = base.with_columns(
        code=pl.lit(200, pl.Int32), attempts=pl.lit(1, pl.Int32), path=pl.lit("/shop/invocations")
    )
    return {
        "predictions": records.rename({"time": "event_time"}),
        "requests": lines,
        "outcomes": outcomes(number - LAG),
    }


def outcomes(number: pl.Series) -> pl.DataFrame:
    """Return the outcomes of those requests that there were."""
    there = number.filter(number >= 0)
    names = there.cast(pl.String).str.zfill(36).alias("prediction_id")
    known = pl.DataFrame([names, _at(there)]).rename({"time": "event_time"})
    return known.with_columns(
        outcome=pl.Series(there % 2, dtype=pl.Float64), time_known=pl.col("event_time"), entity=pl.lit(None, pl.String)
    ).with_columns(label=pl.lit(None, pl.String), source=pl.lit("benchmark"))


def _at(number: pl.Series) -> pl.Series:
    """Return the times of requests at 500 a second."""
    after = pl.duration(microseconds=pl.col("number") * 2_000)
    return number.alias("number").to_frame().select(time=pl.lit(BEGIN).dt.cast_time_unit("us") + after)["time"]


class Log:
    """A log that grows."""

    def __init__(self, root: Path) -> None:
        self.log = PredictionLog(root)
        self.requests = self._commits = 0
        self._random = np.random.default_rng(7)

    def grow(self, count: int) -> None:
        """Append so many requests as a shipper does: a commit a table, and a compaction now and then."""
        self._commits += 1
        for table, frame in rows(self.requests, count, self._random).items():
            if frame.height:
                self.log.append(USE_CASE, table, frame, "benchmark", self._commits)
            if self._commits % COMPACT_EVERY == 0:
                self.log.compact(USE_CASE, table)
        self.requests += count


def measure(root: Path, records: int, new: int) -> Iterator[dict[str, float | str]]:
    """Yield the seconds of looks, of a look at nothing, and of making the memory again after a restart."""
    grown = Log(root)
    evidence = Evidence.of(grown.log, USE_CASE, ROLLOUT, PLAN)
    cursor = evidence.start()
    while grown.requests < records:
        grown.grow(min(PIECE, records - grown.requests))
        cursor = evidence.since(cursor).cursor
    looks = []
    for _ in range(LOOKS):
        grown.grow(new)
        found, took = timed(evidence, cursor)
        cursor = found.cursor
        looks.append(took)
    yield {"what": f"a look with {new:,} new requests", **taken(looks)}
    yield {"what": "a look with nothing new", **taken([timed(evidence, cursor)[1] for _ in range(LOOKS)])}
    yield {"what": f"a look at what is live with {new:,} new outcomes", **taken(list(lasting(grown, new)))}
    again = timed(Evidence.of(grown.log, USE_CASE, ROLLOUT, PLAN), cursor)[1]
    yield {"what": "the first look after a restart", **taken([again])}


def lasting(grown: Log, new: int) -> Iterator[tuple[float, float]]:
    """Yield the seconds of looks at the losses of what is live, by the clock and of the processor."""
    live = LastingLosses(grown.log, USE_CASE, PLAN, BEGIN)
    place = live.newest()
    for _ in range(LOOKS):
        grown.grow(new)
        began, used = time.perf_counter(), time.process_time()
        values, place = live.after(place, datetime.max, Loss(low=0.0, high=4.0))
        yield time.perf_counter() - began, time.process_time() - used
        if place and not values:
            raise DataError("The losses of what is live were not found.")


def timed(evidence: Evidence, cursor: Mapping[str, Any]) -> tuple[Found, tuple[float, float]]:
    """Look, and return seconds by the clock and of the processor."""
    began, used = time.perf_counter(), time.process_time()
    found = evidence.since(cursor)
    return found, (time.perf_counter() - began, time.process_time() - used)


def taken(looks: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the median, the least and the processor's median, in milliseconds, and the memory so far in MB."""
    clock, used = zip(*looks, strict=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": 1e3 * median(clock), "least_ms": 1e3 * min(clock), "cpu_ms": 1e3 * median(used), "peak_mb": memory}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and say whether the goal was met by the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="predictions in the log")
    parser.add_argument("--new", type=int, default=5_000, help="requests since the last look")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = list(measure(Path(folder), options.records, options.new))
    print("| | median ms | least ms | processor ms | memory so far, MB |\n| --- | --- | --- | --- | --- |")
    for row in found:
        figures = (f"{row[name]:,.0f}" for name in ("ms", "least_ms", "cpu_ms", "peak_mb"))
        print(f"| {row['what']} | {' | '.join(figures)} |")
    goals = [goal("look_ms", float(found[0]["ms"]), "<=", 100.0)]
    if options.json is not None:
        write_goals(options.json, goals, found)
    return 0 if all(one.met for one in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
