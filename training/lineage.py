"""Where a version comes from: code, data, environment and search, as digests and versions."""

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

PACKAGES = (
    "mlflow",
    "numpy",
    "optuna",
    "pandas",
    "polars",
    "pyarrow",
    "scikit-learn",
    "skops",
    "xgboost",
    "xgboost-cpu",
)
NULL = "\\N"


def frame_digest(frame: pl.DataFrame) -> str:
    """Return `sha256:…` over names, types and every row of a frame, in its order.

    MLflow's own digest of a data set reads its first 10,000 rows only.
    """
    schema = ",".join(f"{name}:{kind}" for name, kind in frame.schema.items())
    total = hashlib.sha256(f"{schema}\n".encode())
    total.update(frame.write_csv(null_value=NULL).encode())
    return f"sha256:{total.hexdigest()}"


def file_digest(path: Path) -> str:
    """Return `sha256:…` of a file, or of the names and contents of the files in a folder."""
    if path.is_dir():
        parts = [
            f"{part.relative_to(path).as_posix()} {file_digest(part)}"
            for part in sorted(path.rglob("*"))
            if part.is_file()
        ]
        listing = "\n".join(parts).encode()
        return f"sha256:{hashlib.sha256(listing).hexdigest()}"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit below `folder` and whether the working tree differs from it; None outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None, None
    return commit, bool(_git(folder, "status", "--porcelain"))


def package_versions() -> dict[str, str]:
    """Return the installed versions of what training and scoring run on."""
    return {name: found for name in PACKAGES if (found := _version(name)) is not None}


def python_version() -> str:
    """Return the interpreter's version, like 3.11.7."""
    return platform.python_version()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here: lineage says so by its absence
    return done.stdout.strip() if done.returncode == 0 else None
