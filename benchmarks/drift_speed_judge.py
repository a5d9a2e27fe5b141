"""One judge of `benchmarks.drift_speed`, in a process of its own: prints its CPU and memory as JSON.

    python -m benchmarks.drift_speed_judge WHO REFERENCE WINDOW

Counted is what WHO does once its libraries are imported and the rows are there: CPU of this process and its children,
and the highest memory above what rows and libraries take.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

# ruff: noqa: PLC0415  # each judge imports its own libraries, and nobody's imports are counted

Judge = Callable[[], str]


def flywheel(reference: Path, window: Path) -> Judge:
    """Profile the window and decide by the reference's profile, which a package would hold."""
    import polars as pl

    from benchmarks.drift_speed_rows import COLUMNS, TIME
    from flywheel.monitor_spec import Drift
    from flywheel.profiling.profile import profile_rows
    from flywheel.profiling.series_file import read_series
    from monitoring.drift.decision import judge

    rows = pl.read_parquet(window)

    def work() -> str:
        known = read_series(reference.with_suffix(".blocks"))
        return judge(known, profile_rows(rows, COLUMNS, TIME, scale=known.scale), Drift()).verdict

    return work


def training(reference: Path, window: Path) -> Judge:
    """Profile the reference, as training does once for a package."""
    import polars as pl

    from benchmarks.drift_speed_rows import COLUMNS, TIME
    from flywheel.profiling.profile import profile_rows
    from flywheel.profiling.series_file import series_bytes

    rows = pl.read_parquet(reference)

    def work() -> str:
        size = reference.with_suffix(".blocks").write_bytes(
            series_bytes(profile_rows(rows, COLUMNS, TIME).published(), dense=True)
        )
        return f"{size / 1000:.0f} kB"

    return work


def evidently(reference: Path, window: Path, *, preset: bool) -> Judge:
    """Let Evidently compare the rows."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import DriftedColumnsCount
    from evidently.presets import DataDriftPreset

    from benchmarks.drift_speed_rows import COLUMNS

    numeric = [name for name, kind in COLUMNS.items() if kind == "double"]
    definition = DataDefinition(
        numerical_columns=numeric, categorical_columns=[name for name in COLUMNS if name not in numeric]
    )
    now, then = (
        Dataset.from_pandas(pd.read_parquet(path, columns=list(COLUMNS)), definition) for path in (window, reference)
    )

    def work() -> str:
        report = Report([DataDriftPreset() if preset else DriftedColumnsCount()])
        found = json.loads(report.run(now, then).json())["metrics"][0]["value"]
        return f"{found['count']:.0f} columns"

    return work


JUDGES: dict[str, Callable[[Path, Path], Judge]] = {
    "flywheel": flywheel,
    "training": training,
    "evidently preset": lambda reference, window: evidently(reference, window, preset=True),
    "evidently count": lambda reference, window: evidently(reference, window, preset=False),
}


def cpu_seconds() -> float:
    """Return what this process and its children have used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def memory(field: str) -> float:
    """Return a figure of this process's memory, in MB: VmRSS (now) or VmHWM (the highest)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def main() -> None:
    """Prepare, judge, and print the figures."""
    work = JUDGES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted from here
    held, used = memory("VmRSS"), cpu_seconds()
    said = work()
    print(json.dumps({"said": said, "cpu_seconds": cpu_seconds() - used, "extra_mb": memory("VmHWM") - held}))


if __name__ == "__main__":
    main()
