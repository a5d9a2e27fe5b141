"""Runs a package's code in a process of its own, without our environment: a model's answers, a function's features."""

import subprocess
import tempfile
from pathlib import Path

import polars as pl

from registry.gates import featuring, scoring
from registry.gates.fenced import fenced
from registry.gates.gate import UnmeasurableError
from registry.gates.server import bare_environment

SECONDS = 180


def answers_of(folder: Path, rows: pl.DataFrame, *, python: str, work: Path) -> pl.DataFrame:
    """Load a model and return its answers to rows: n_rows by its outputs.

    Raises:
        UnmeasurableError: It cannot be loaded, or does not answer these rows.
    """
    found = _run(Path(scoring.__file__), folder, rows, python=python, work=work)
    if found.height != rows.height:
        raise UnmeasurableError(f"The model answers {found.height} rows when it is asked about {rows.height}.")
    return found


def features_of(file: Path, rows: pl.DataFrame, *, python: str, work: Path) -> pl.DataFrame:
    """Return what a feature function makes of rows.

    Raises:
        UnmeasurableError: It fails.
    """
    return _run(Path(featuring.__file__), file, rows, python=python, work=work)


def _run(program: Path, subject: Path, rows: pl.DataFrame, *, python: str, work: Path) -> pl.DataFrame:
    with tempfile.TemporaryDirectory(prefix="offline-", dir=work) as place:
        asked, answered = Path(place) / "rows.parquet", Path(place) / "answers.parquet"
        rows.write_parquet(asked)
        try:
            done = subprocess.run(
                fenced(
                    [python, "-I", "-B", str(program), str(subject), str(asked), str(answered)],
                    read=[program, subject],
                    write=Path(place),
                ),
                cwd=place,
                env=bare_environment(python, Path(place)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            raise UnmeasurableError(f"{subject.name} did not answer within {SECONDS} s.") from fault
        if done.returncode != 0 or not answered.is_file():
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            said = lines[-1].strip()[:300] if lines else f"it ended with code {done.returncode}"
            raise UnmeasurableError(f"{subject.name} cannot be asked here: {said}.")
        return pl.read_parquet(answered)
