"""Where a version comes from: code, data, environment and search, as digests and versions."""

import hashlib
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from flywheel.package import Span
from training.data.frame_digest import frame_digest

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
DIFF_BYTES = 1_000_000  # of uncommitted changes are kept; more is no change but another project
GIT_SECONDS = 10


@dataclass(frozen=True)
class GitState:
    """The commit below a folder, and what the working tree has that it has not.

    Attributes:
        commit: None outside a repository.
        diff: Every uncommitted change to tracked files and the names of untracked ones; "" for none. Longer ones end
            with a line that says so; `diff_digest` is of the whole.
    """

    commit: str | None
    diff: str = ""
    diff_digest: str = ""

    @property
    def dirty(self) -> bool | None:
        """Whether anything differs; None outside a repository."""
        return None if self.commit is None else bool(self.diff)


def git_state(folder: Path) -> GitState:
    """Ask git about a folder; no git and no repository are states too."""
    commit = ask_git(folder, "rev-parse", "HEAD")
    if not commit:
        return GitState(None)
    changes = ask_git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff") or ""
    untracked = ask_git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", ":/") or ""
    whole = changes + "".join(f"untracked: {name}\n" for name in untracked.splitlines())
    if not whole:
        return GitState(commit.strip())
    return GitState(commit.strip(), _bounded(whole), text_digest(whole))


def _bounded(text: str) -> str:
    content = text.encode()
    if len(content) <= DIFF_BYTES:
        return text
    kept = content[:DIFF_BYTES].decode(errors="ignore")
    return f"{kept}\n(cut: {len(content) - DIFF_BYTES} further bytes of uncommitted changes)\n"


def text_digest(text: str) -> str:
    """Return `sha256:…` of a text in UTF-8."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def file_digest(path: Path) -> str:
    """Return `sha256:…` of a file, or of the names and contents of the files in a folder."""
    if path.is_dir():
        parts = [
            f"{part.relative_to(path).as_posix()} {file_digest(part)}"
            for part in sorted(path.rglob("*"))
            if part.is_file()
        ]
        return text_digest("\n".join(parts))
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def span(rows: pl.DataFrame, event_time: str) -> Span:
    """Describe one part of a split: at least one row, in order of time."""
    times = rows[event_time]
    return Span(rows=rows.height, start=times.item(0), end=times.item(-1), digest=frame_digest(rows))


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


def ask_git(folder: Path, *words: str) -> str | None:
    """Return what git answers about a folder's repository; None when it fails, is not there or takes too long."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here: lineage says so by its absence
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
